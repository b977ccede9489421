"""Rollout: which model answers, and how a new one takes over: loaded first, watched with a share, or rolled back."""

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
NOTE = "rollout"


@dataclass(frozen=True)
class Bounds:
    """When a candidate is rolled back, and when it has proved itself.

    images: it must have looked at so many before it is judged. errors: share of images it may fail on.
    rate: how far its detections an image may be from the champion's, relative to them.
    """

    images: int = 200
    errors: float = 0.01
    rate: float = 0.5


@dataclass(frozen=True)
class Candidate:
    """A model on its way. share: of requests and jobs that it gets. why: of a rollback or a failure, one line."""

    model: str
    share: float
    phase: Phase
    since: float
    bounds: Bounds
    baseline: dict[str, dict[str, float]]
    why: str | None = None


@dataclass(frozen=True)
class State:
    """What is served now, and what was tried last."""

    champion: str | None = None
    candidate: Candidate | None = None


class Rollout:
    """The state, in the database that all processes share."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters

    def state(self) -> State:
        """As it is now."""
        with self._database.reading() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (NOTE,)).fetchone()
        return _state(row["value"]) if row else State()

    def begin(self, model: str) -> None:
        """Serve `model` at once: the start of a deployment."""
        self._change(lambda state: state if state.champion == model else State(champion=model))

    def propose(self, model: str, share: float, bounds: Bounds) -> State:
        """Let a replica load `model`; then it gets `share` of the work, all of it at 1. Raises Refused (409)."""

        def proposed(state: State) -> State:
            if state.champion == model:
                raise Refused(409, f"{model} is the model that serves already")
            if state.candidate and state.candidate.phase in ("loading", "canary"):
                raise Refused(409, f"{state.candidate.model} is being rolled out; wait, or roll it back")
            candidate = Candidate(model, share, "loading", time.time(), bounds, self._tallies())
            return replace(state, candidate=candidate)

        return self._change(proposed)

    def loaded(self, model: str) -> None:
        """A replica has the candidate ready."""

        def moved(state: State) -> State:
            candidate = _of(state, model, "loading")
            if candidate is None:
                return state
            if candidate.share >= 1:
                return State(model, replace(candidate, phase="promoted"))
            return replace(state, candidate=replace(candidate, phase="canary"))

        self._change(moved)

    def failed(self, model: str, why: str) -> None:
        """The candidate cannot be loaded; the champion goes on."""

        def moved(state: State) -> State:
            candidate = _of(state, model, "loading")
            return (
                state
                if candidate is None
                else replace(state, candidate=replace(candidate, phase="failed", why=why))
            )

        self._change(moved)

    def roll_back(self, why: str) -> State:
        """Take the work from a candidate that has not yet won. Raises Refused (409) when there is none."""

        def moved(state: State) -> State:
            if state.candidate is None or state.candidate.phase not in ("loading", "canary"):
                raise Refused(409, "no model is being rolled out")
            return replace(state, candidate=replace(state.candidate, phase="rolled back", why=why))

        return self._change(moved)

    def judge(self) -> None:
        """Promote or roll back the canary if what was counted since its start suffices."""
        state = self.state()
        if state.candidate is None or state.candidate.phase != "canary" or state.champion is None:
            return
        now = self._tallies()
        ours = _since(now, state.candidate.baseline, state.candidate.model)
        theirs = _since(now, state.candidate.baseline, state.champion)
        if theirs["images"] < state.candidate.bounds.images:  # too few lately: its whole past speaks for it
            theirs = _since(now, {}, state.champion)
        verdict = judged(ours, theirs, state.candidate.bounds)
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
        """The model for a new request or job. Raises Refused (503) before there is one."""
        state = self.state()
        if state.champion is None:
            raise Refused(503, "no model is served yet", retry_after=5)
        canary = state.candidate
        if canary and canary.phase == "canary" and random.random() < canary.share:
            return canary.model
        return state.champion

    def _tallies(self) -> dict[str, dict[str, float]]:
        tallies: dict[str, dict[str, float]] = {}
        for name, labels, value in self._counters.all():
            if name in ("images", "errors", "objects") and "model" in labels:
                tallies.setdefault(labels["model"], {})[name] = value
        return tallies

    def _change(self, step) -> State:  # type: ignore[no-untyped-def]
        with self._database.writing() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (NOTE,)).fetchone()
            state: State = step(_state(row["value"]) if row else State())
            db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (NOTE, json.dumps(asdict(state))))
        return state


def judged(ours: dict[str, float], theirs: dict[str, float], bounds: Bounds) -> str | None:
    """None: not yet. "": the candidate has proved itself. Else why it is rolled back.

    ours, theirs: images, errors and objects of the candidate and of the champion.
    """
    tried = ours["images"] + ours["errors"]
    allowed = bounds.errors * max(tried, bounds.images)
    if ours["errors"] > allowed:
        return f"it failed on {ours['errors']:.0f} of {tried:.0f} images"
    if tried < bounds.images:
        return None
    our_rate = ours["objects"] / max(ours["images"], 1)
    their_rate = theirs["objects"] / max(theirs["images"], 1)
    if theirs["images"] and abs(our_rate - their_rate) > bounds.rate * max(their_rate, 1 / bounds.images):
        return f"it finds {our_rate:.2f} objects an image, the model before it {their_rate:.2f}"
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
