"""Rollout: which model serves, and how a new one replaces it: loaded, tried as a canary, promoted or rolled back."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, replace
from typing import Literal

from serve.deployment.counters import Counters
from serve.deployment.database import Database
from serve.errors import Refused

Phase = Literal["loading", "canary", "promoted", "rolled back", "failed"]
ROW = "rollout"  # name of the row in the table of notes


@dataclass(frozen=True)
class Bounds:
    """When a canary is promoted or rolled back.

    images: how many it must process before it is judged. errors: share of images it may fail on.
    rate: largest relative difference of its detections per image from the champion's.
    """

    images: int = 200
    errors: float = 0.01
    rate: float = 0.5


@dataclass(frozen=True)
class Candidate:
    """A model being rolled out, or the last one that was.

    model: export id. share: of requests and jobs that it receives. since: seconds since 1970. baseline: the counters of
    all models at the start. why: reason for a rollback or failure, one line.
    """

    model: str
    share: float
    phase: Phase
    since: float
    bounds: Bounds
    baseline: dict[str, dict[str, float]]
    why: str | None = None


@dataclass(frozen=True)
class State:
    """The export id of the model that serves, and the latest candidate."""

    champion: str | None = None
    candidate: Candidate | None = None


class Rollout:
    """The rollout state, stored in the shared database."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters

    def state(self) -> State:
        """The present state."""
        with self._database.reading() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (ROW,)).fetchone()
        return _state(row["value"]) if row else State()

    def begin(self, model: str) -> None:
        """Serve `model` immediately; for the start of a deployment."""
        self._change(lambda state: state if state.champion == model else State(champion=model))

    def propose(self, model: str, share: float, bounds: Bounds) -> State:
        """Roll out `model`: a replica loads it, then it receives `share` of the work; 1 promotes it at once.

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

        return self._change(proposed)

    def loaded(self, model: str) -> None:
        """A replica has loaded the candidate."""

        def moved(state: State) -> State:
            candidate = _of(state, model, "loading")
            if candidate is None:
                return state
            if candidate.share >= 1:
                return State(model, replace(candidate, phase="promoted"))
            return replace(state, candidate=replace(candidate, phase="canary"))

        self._change(moved)

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
        """Cancel the rollout in progress. Raises Refused (409) when there is none."""

        def moved(state: State) -> State:
            if state.candidate is None or state.candidate.phase not in ("loading", "canary"):
                raise Refused(409, "no rollout is in progress")
            return replace(state, candidate=replace(state.candidate, phase="rolled back", why=why))

        return self._change(moved)

    def judge(self) -> None:
        """Promote or roll back the canary, once it has processed enough images."""
        state = self.state()
        if state.candidate is None or state.candidate.phase != "canary" or state.champion is None:
            return
        now = self._counts_by_model()
        ours = _since(now, state.candidate.baseline, state.candidate.model)
        theirs = _since(now, state.candidate.baseline, state.champion)
        if theirs["images"] < state.candidate.bounds.images:  # too few since the start: use its whole history
            theirs = _since(now, {}, state.champion)
        verdict = judge_canary(ours, theirs, state.candidate.bounds)
        if verdict is None:
            return

        def moved(latest: State) -> State:
            candidate = _of(latest, ours_model, "canary")
            if candidate is None:
                return latest
            if verdict == "":
                return State(candidate.model, replace(candidate, phase="promoted"))
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

    def _counts_by_model(self) -> dict[str, dict[str, float]]:
        counts: dict[str, dict[str, float]] = {}
        for name, labels, value in self._counters.all():
            if name in ("images", "errors", "objects") and "model" in labels:
                counts.setdefault(labels["model"], {})[name] = value
        return counts

    def _change(self, step) -> State:  # type: ignore[no-untyped-def]
        with self._database.transaction() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (ROW,)).fetchone()
            state: State = step(_state(row["value"]) if row else State())
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (ROW, json.dumps(asdict(state))))
        return state


def judge_canary(ours: dict[str, float], theirs: dict[str, float], bounds: Bounds) -> str | None:
    """None: too early. "": promote the canary. Otherwise the reason to roll it back.

    ours, theirs: numbers of images, errors and objects of the canary and of the champion.
    """
    tried = ours["images"] + ours["errors"]
    allowed = bounds.errors * max(tried, bounds.images)
    if ours["errors"] > allowed:
        return f"failed on {ours['errors']:.0f} of {tried:.0f} images"
    if tried < bounds.images:
        return None
    our_rate = ours["objects"] / max(ours["images"], 1)
    their_rate = theirs["objects"] / max(theirs["images"], 1)
    if theirs["images"] and abs(our_rate - their_rate) > bounds.rate * max(their_rate, 1 / bounds.images):
        return f"detects {our_rate:.2f} objects per image, the present model {their_rate:.2f}"
    return ""


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


def _state(text: str) -> State:
    fields = json.loads(text)
    candidate = fields["candidate"]
    if candidate is not None:
        candidate = Candidate(**(candidate | {"bounds": Bounds(**candidate["bounds"])}))
    return State(fields["champion"], candidate)
