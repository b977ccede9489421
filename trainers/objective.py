"""Objective: what a search optimises: a metric or a weighted sum of metrics, its direction, and tie-breakers."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainers.errors import UserError
from trainers.metrics import LOSS, Direction, Metric

SHOWN = 20  # metrics that an error lists


@dataclass(frozen=True)
class Score:
    """The score of a trial at a rung, made by Objective.score.

    values: the measured value of each criterion; the first is the objective's, the others are the tie-breakers'.
    key: sort key, ascending from worst to best.
    merit: `key` as one number, larger is better, for samplers that take a single value. Where values are compared
        exactly it has no room for the tie-breakers.
    model: the name of the trial's model; "" if it does not matter.
    loss: the name of the function that is the trial's loss (trainers.model.loss_of).
    comparable: number of leading elements of `key` that compare between losses; all, unless said.
    also: of the further objectives (Objective.also), larger is better; no part of `key`.
    """

    values: tuple[float, ...]
    key: tuple[float, ...]
    merit: float
    model: str = ""
    loss: str = ""
    comparable: int | None = None
    also: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """The objective's value."""
        return self.values[0]

    @property
    def between_losses(self) -> tuple[float, ...]:
        """The part of `key` that compares between trials with other losses (trainers.score_order)."""
        return self.key[: self.comparable]


@dataclass(frozen=True)
class Criterion:
    """A weighted sum of metrics by which trials are compared: the objective itself, or a tie-breaker.

    label: its name for people. terms: (weight, metric name) pairs.
    direction, chance, resolution, bounded: as for a Metric, of the sum.
    otherwise: the criterion to use instead if one of the metrics was not measured.
    between_losses: of a tie-breaker, whether it compares trials whose losses are other functions; a loss does not.
    """

    label: str
    terms: tuple[tuple[float, str], ...]
    direction: Direction = "maximize"
    chance: float = 0.0
    resolution: float = 0.0
    bounded: bool = True
    otherwise: Criterion | None = None
    between_losses: bool = True

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """The sum; None if one of the metrics is missing, or is -1 (not measured)."""
        if any(unmeasured(name, metrics) for _, name in self.terms):
            return self.otherwise.value(metrics) if self.otherwise else None
        return sum(weight * metrics[name] for weight, name in self.terms)

    @property
    def missing(self) -> float:
        """The value that stands for a missing one: the worst."""
        if self.direction == "minimize":
            return 1.0 if self.bounded else math.inf
        return 0.0 if self.bounded else -math.inf

    def rank(self, value: float) -> float:
        """The value for comparisons: larger is better, 0 below chance, rounded to units of the resolution."""
        signed = -value
        if self.direction == "maximize":
            signed = 0.0 if self.chance and value < self.chance else value
        return round(signed / self.resolution) if self.resolution and math.isfinite(signed) else signed


@dataclass(frozen=True)
class Objective:
    """What a search optimises; made by `parse` or Task.objective.

        objective = task.objective("0.7*mAP+0.3*mAP_small", classes)
        objective.value({"mAP": 0.5, "mAP_small": 0.2})  # 0.41
        max(trials, key=lambda trial: objective.score(trial.metrics).key)  # the best trial, ties broken

    name: as the user wrote it: a metric, or a weighted sum such as `0.7*mAP+0.3*mAP_small`.
    criteria: the objective itself, then the tie-breakers in order.
    also: names of metrics that a search with several objectives makes as small as it can, such as a latency.
    """

    name: str
    criteria: tuple[Criterion, ...]
    also: tuple[str, ...] = ()

    @property
    def direction(self) -> Direction:
        """Whether larger or smaller is better."""
        return self.criteria[0].direction

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics in the objective itself, without tie-breakers."""
        return tuple(name for _, name in self.criteria[0].terms)

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The names of all metrics that can decide between trials, including the tie-breakers'."""
        found: list[str] = []
        for criterion in self.criteria:
            step: Criterion | None = criterion
            while step is not None:
                found += [name for _, name in step.terms]
                step = step.otherwise
        return tuple(dict.fromkeys(found))

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """The objective's value in an evaluation (Metrics.flat); None if it was not measured."""
        return self.criteria[0].value(metrics)

    def score(self, metrics: Mapping[str, float], model: str = "", loss: str | None = None) -> Score:
        """The score of an evaluation (Metrics.flat) of a trial of `model`.

        loss: the name of the function that its loss is; None for a model that has one.
        Raises UserError if the objective was not measured.
        """
        value = self.value(metrics)
        if value is None:
            first = next(name for name in self.metrics if unmeasured(name, metrics))
            raise UserError(
                f"objective {self.name}: {first} cannot be measured on these validation images; "
                "choose another --objective"
            )
        others = [criterion.value(metrics) for criterion in self.criteria[1:]]
        pairs = zip(self.criteria[1:], others, strict=True)
        found = self.of_values((value, *(c.missing if v is None else v for c, v in pairs)), model, loss)
        if not self.also:
            return found
        return replace(found, also=tuple(-metrics.get(name, math.inf) for name in self.also))

    def of_value(self, value: float, model: str = "", loss: str | None = None) -> Score:
        """The score of a trial of which only the objective's value is known; it loses every tie."""
        return self.of_values((value, *(criterion.missing for criterion in self.criteria[1:])), model, loss)

    def of_values(self, values: tuple[float, ...], model: str = "", loss: str | None = None) -> Score:
        """The score made of one value per criterion."""
        key = tuple(c.rank(value) for c, value in zip(self.criteria, values, strict=True))
        ties = enumerate(self.criteria[1:], start=1)
        comparable = next((place for place, tie in ties if not tie.between_losses), None)
        return Score(values, key, self.merit(key), model, model if loss is None else loss, comparable)

    def merit(self, key: tuple[float, ...]) -> float:
        """Score.merit of a key, which may be one of trainers.score_order."""
        return self._number(key, 0)

    def above_chance(self, value: float) -> bool:
        """Whether the value says more than an untrained model's would."""
        first = self.criteria[0]
        return first.direction == "minimize" or not first.chance or value >= first.chance

    def better(self, one: float, other: float) -> bool:
        """Whether the value `one` is better than `other`."""
        return one < other if self.direction == "minimize" else one > other

    def tie_broken_by(self, one: Score, other: Score) -> str:
        """Which tie-breaker decides between two scores, with both values; "" if the objective decides, or nothing."""
        for place, criterion in enumerate(self.criteria):
            if one.key[place] != other.key[place]:
                if place == 0:
                    return ""
                shown = ".3f" if criterion.resolution else ".4g"
                return f"{criterion.label}: {one.values[place]:{shown}} to {other.values[place]:{shown}}"
        return ""

    def _number(self, key: tuple[float, ...], place: int) -> float:
        """`key` from `place` on in one number, as far as one can hold it."""
        criterion = self.criteria[place]
        if criterion.resolution:
            return key[place] + self._fraction(key, place + 1)
        if criterion.chance and key[place] == 0:
            return criterion.chance * self._fraction(key, place + 1)
        return key[place]

    def _fraction(self, key: tuple[float, ...], place: int) -> float:
        """The tie-breakers from index `place` on as one number in [0, 1)."""
        if place >= len(key):
            return 0.0
        criterion, number = self.criteria[place], self._number(key, place)
        if criterion.resolution and criterion.bounded and criterion.direction == "maximize":
            return number * criterion.resolution / (1 + 2 * criterion.resolution)
        return 0.5 + math.atan(number) / math.pi


def unmeasured(name: str, metrics: Mapping[str, float]) -> bool:
    """Whether an evaluation (Metrics.flat) lacks the metric, or has -1 because there was nothing to measure it on."""
    return name not in metrics or (metrics[name] == -1.0 and not name.startswith(LOSS))


_TERM = re.compile(r"\s*(?:(?P<weight>-?[0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?)\s*\*\s*)?(?P<name>.+?)\s*")


def parse(text: str, offered: Mapping[str, Metric], ties: tuple[Criterion, ...] = ()) -> Objective:
    """Parse an objective: the name of a metric, or a weighted sum such as `0.7*mAP+0.3*mAP_small`.

    offered: the task's metrics by name. ties: tie-breakers; one that equals the objective is dropped.
    Raises UserError for an unknown metric (with those offered), a weight that is not above 0, a sum of metrics with
    different directions, or text that does not parse.
    """
    if text in offered:
        terms: tuple[tuple[float, str], ...] = ((1.0, text),)
    else:
        terms = tuple(_term(part, text, offered) for part in _parts(text, offered))
    kinds = [offered[name] for _, name in terms]
    if len({kind.direction for kind in kinds}) > 1:
        raise UserError(f"--objective {text}: cannot add metrics to maximize and metrics to minimize")
    if len(terms) == 1:
        kind, weight = kinds[0], terms[0][0]
        own = Criterion(
            text, terms, kind.direction, kind.chance * weight, kind.resolution, kind.bounded and weight == 1
        )
    else:
        chance = sum(weight * kind.chance for (weight, _), kind in zip(terms, kinds, strict=True))
        resolution = min(kind.resolution for kind in kinds)
        bounded = all(kind.bounded for kind in kinds) and sum(weight for weight, _ in terms) <= 1 + 1e-9
        own = Criterion(text, terms, kinds[0].direction, chance, resolution, bounded)
    return Objective(text, (own, *(tie for tie in ties if tie.terms != own.terms)))


def _parts(text: str, offered: Mapping[str, Metric]) -> list[str]:
    """The terms of a sum; a plus sign in a metric's name, as of the class `car+trailer`, divides none."""
    pieces, found = text.split("+"), []
    while pieces:
        for count in range(len(pieces), 0, -1):
            term = _TERM.fullmatch("+".join(pieces[:count]))
            if count == 1 or (term and term["name"] in offered):
                break
        found.append("+".join(pieces[:count]))
        del pieces[:count]
    return found


def _term(part: str, text: str, offered: Mapping[str, Metric]) -> tuple[float, str]:
    found = _TERM.fullmatch(part)
    if found is None:
        raise UserError(
            f"--objective {text}: not a metric or a weighted sum of metrics such as 0.7*A+0.3*B; "
            f"metrics: {_listed(offered)}"
        )
    name = found["name"]
    weight = float(found["weight"]) if found["weight"] else 1.0
    if name not in offered:
        near = difflib.get_close_matches(name, offered, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"--objective {text}: unknown metric '{name}'; {hint}metrics: {_listed(offered)}")
    if not 0 < weight < math.inf:
        raise UserError(f"--objective {text}: the weight of {name} must be above 0, not {weight:g}")
    return weight, name


def _listed(offered: Mapping[str, Metric]) -> str:
    names = list(offered)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
