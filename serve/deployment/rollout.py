"""Rollout: which model serves, and how a new one replaces it: loaded, tried as a canary, promoted or rolled back."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, replace
from typing import Literal

from serve.deployment.database import Database
from serve.deployment.evidence import Bounds, Evidence, judge, judge_errors
from serve.errors import Refused
from serve.jobs.queue import GIVE
from serve.metrics.counters import Counters

Phase = Literal["loading", "canary", "promoted", "rolled back", "failed"]
ROW = "rollout"  # name of the row in the table of notes
ALIVE_SECONDS = 15.0  # a replica that was not seen for longer is not waited for


@dataclass(frozen=True)
class Candidate:
    """A model being rolled out, or the last one that was.

    model: export id. share: of requests and jobs that it receives. since: seconds since 1970. baseline: the counters of
    all models at the start. why: reason for a rollback or failure, one line. loaded: ids of the replicas that have it.
    """

    model: str
    share: float
    phase: Phase
    since: float
    bounds: Bounds
    baseline: dict[str, dict[str, float]]
    why: str | None = None
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """The export id of the model that serves, the latest candidate, and the model that served before."""

    champion: str | None = None
    candidate: Candidate | None = None
    previous: str | None = None


class Rollout:
    """The rollout state, stored in the shared database."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters
        self._evidence = Evidence(database)

    def state(self) -> State:
        """The present state."""
        with self._database.reading() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (ROW,)).fetchone()
        return _state(row["value"]) if row else State()

    def begin(self, model: str) -> None:
        """Serve `model` immediately; for the start of a deployment."""
        self._change(
            lambda state: state if state.champion == model else State(model, previous=state.champion)
        )

    def propose(self, model: str, share: float, bounds: Bounds) -> State:
        """Roll out `model`: all replicas load it, then it receives `share` of the work; 1 promotes it at once.

        Raises Refused (409) when it serves already or another rollout is in progress.
        """

        def proposed(state: State) -> State:
            if state.champion == model:
                raise Refused(409, f"{model} is already the model in use")
            if state.candidate and state.candidate.phase in ("loading", "canary"):
                raise Refused(
                    409, f"the rollout of {state.candidate.model} is in progress; wait for it or roll it back"
                )
            candidate = Candidate(model, share, "loading", time.time(), bounds, self._counts_by_model())
            return replace(state, candidate=candidate)

        return self._change(proposed, forget=model)

    def loaded(self, model: str, replica: str) -> None:
        """The replica has loaded the candidate. It gets work once all replicas have, or it would be missed by some."""

        def moved(state: State) -> State:
            candidate = _of(state, model, "loading")
            if candidate is None:
                return state
            candidate = replace(candidate, loaded=tuple(sorted({*candidate.loaded, replica})))
            if not self._alive() <= set(candidate.loaded):
                return replace(state, candidate=candidate)
            if candidate.share >= 1:
                return State(model, replace(candidate, phase="promoted"), state.champion)
            return replace(state, candidate=replace(candidate, phase="canary"))

        self._change(moved)

    def beat(self, replica: str) -> None:
        """The replica is alive; to be called at least every ALIVE_SECONDS."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO replicas VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
                (replica, time.time()),
            )
            db.execute("DELETE FROM replicas WHERE seen < ?", (time.time() - 100 * ALIVE_SECONDS,))

    def gone(self, replica: str) -> None:
        """The replica has stopped."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM replicas WHERE id = ?", (replica,))

    def _alive(self) -> set[str]:
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT id FROM replicas WHERE seen > ?", (time.time() - ALIVE_SECONDS,)
            ).fetchall()
        return {row["id"] for row in rows}

    def failed(self, model: str, why: str) -> None:
        """The candidate cannot be loaded; the champion keeps serving."""

        def moved(state: State) -> State:
            candidate = _of(state, model, "loading")
            return (
                state
                if candidate is None
                else replace(state, candidate=replace(candidate, phase="failed", why=why))
            )

        self._change(moved)

    def roll_back(self, why: str) -> State:
        """Cancel the rollout in progress; or, after one, return to the model before. Raises Refused (409) without both.

        Jobs that the model has not finished are processed from the start by the one that serves.
        """

        def moved(state: State) -> State:
            candidate = state.candidate
            if candidate is not None and candidate.phase in ("loading", "canary"):
                return replace(state, candidate=replace(candidate, phase="rolled back", why=why))
            if state.previous is None or state.champion is None:
                raise Refused(409, "no rollout is in progress, and no model served before")
            if candidate is None or candidate.model != state.champion:
                candidate = Candidate(state.champion, 1.0, "promoted", time.time(), Bounds(), {})
            return State(state.previous, replace(candidate, phase="rolled back", why=why))

        return self._change(moved)

    def judge(self) -> None:
        """Promote or roll back the canary, once it has processed enough images."""
        state = self.state()
        if state.candidate is None or state.candidate.phase != "canary" or state.champion is None:
            return
        ours = _since(self._counts_by_model(), state.candidate.baseline, state.candidate.model)
        verdict = judge_errors(ours["images"], ours["errors"], state.candidate.bounds)
        if verdict is None:
            verdict = judge(self._evidence.units(state.candidate.model), state.candidate.bounds)
        if verdict is None:
            return

        def moved(latest: State) -> State:
            candidate = _of(latest, ours_model, "canary")
            if candidate is None:
                return latest
            if verdict == "":
                return State(candidate.model, replace(candidate, phase="promoted"), latest.champion)
            return replace(latest, candidate=replace(candidate, phase="rolled back", why=verdict))

        ours_model = state.candidate.model
        self._change(moved)

    def pick(self) -> str:
        """The export id of the model for a new request or job. Raises Refused (503) when there is none yet."""
        state = self.state()
        if state.champion is None:
            raise Refused(503, "no model is available yet", retry_after=5)
        canary = state.candidate
        if canary and canary.phase == "canary" and random.random() < canary.share:
            return canary.model
        return state.champion

    def give_back(self, models: set[str]) -> bool:
        """Give jobs that were just added to the champion, if one of their models was rolled back meanwhile.

        A rollback gives away the jobs that it finds. Returns whether there was anything to do.
        """
        state = self.state()
        left = _left(state)
        if left is None or left.model not in models:
            return False
        self._change(lambda state: state)
        return True

    def _counts_by_model(self) -> dict[str, dict[str, float]]:
        counts: dict[str, dict[str, float]] = {}
        for name, labels, value in self._counters.all():
            if name in ("images", "errors", "objects") and "model" in labels:
                counts.setdefault(labels["model"], {})[name] = value
        return counts

    def _change(self, step, forget: str | None = None) -> State:  # type: ignore[no-untyped-def]
        """Take the step, if it is allowed. forget: the candidate whose evidence of an earlier rollout is removed."""
        with self._database.transaction() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (ROW,)).fetchone()
            state: State = step(_state(row["value"]) if row else State())
            if forget is not None:
                db.execute("DELETE FROM evidence WHERE candidate = ?", (forget,))
            db.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (ROW, json.dumps(asdict(state))),
            )
            left = _left(state)
            if left is not None:
                db.execute(
                    f"{GIVE} WHERE model = ? AND state IN ('queued', 'running')", (state.champion, left.model)
                )
        return state


def _since(
    now: dict[str, dict[str, float]], before: dict[str, dict[str, float]], model: str
) -> dict[str, float]:
    return {
        name: now.get(model, {}).get(name, 0.0) - before.get(model, {}).get(name, 0.0)
        for name in ("images", "errors", "objects")
    }


def _of(state: State, model: str, phase: Phase) -> Candidate | None:
    candidate = state.candidate
    return candidate if candidate and candidate.model == model and candidate.phase == phase else None


def _left(state: State) -> Candidate | None:
    """The candidate that was rolled back, or failed; its jobs are the champion's."""
    candidate = state.candidate
    if candidate is None or candidate.phase not in ("rolled back", "failed"):
        return None
    return candidate if candidate.model != state.champion else None


def _state(text: str) -> State:
    fields = json.loads(text)
    candidate = fields["candidate"]
    if candidate is not None:
        bounds = candidate["bounds"]
        if "rate" in bounds:  # of an earlier version, which had one bound for both directions
            rate = bounds.pop("rate")
            bounds |= {"fewer": rate, "more": rate}
        loaded = tuple(candidate.get("loaded", ()))
        candidate = Candidate(**(candidate | {"bounds": Bounds(**bounds), "loaded": loaded}))
    return State(fields["champion"], candidate, fields.get("previous"))
