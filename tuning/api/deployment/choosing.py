"""Chooses the fastest, or the smallest, of the trials that are nearly as good as the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from trainers.errors import UserError
from trainers.recipe import architecture
from tuning.api.deployment import measuring
from tuning.api.exporting import export_trial
from tuning.search.constraints.limit import COSTS, DEFAULT_BACKEND, LATENCY, SIZE
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import TrialRecord

RULES: Mapping[str, str] = {"fastest-within": LATENCY, "smallest-within": SIZE}
Costs = Mapping[str, float]


def parse(rule: str, text: str) -> tuple[str, float]:
    """`--choose fastest-within 0.01`: the cost that decides, and by how much the objective may be worse.

    Raises UserError for another rule, or what is no number from 0 on.
    """
    if rule not in RULES:
        raise UserError(f"--choose {rule}: unknown rule; known are {', '.join(RULES)}")
    try:
        within = float(text)
    except ValueError:
        within = math.nan
    if not 0 <= within < math.inf:
        raise UserError(f"--choose {rule} {text}: give by how much the objective may be worse, such as 0.01")
    return RULES[rule], within


def cheapest(
    study: StudyRead, cost: str, within: float, trainer: str | None, say: Callable[[str], None]
) -> TrialRecord:
    """The completed trial of the lowest cost whose objective is at most `within` worse than the best one's.

    Costs that the search has measured are used; otherwise the best of these trials of each network is exported and
    measured here. Of trials with one network, the best is taken. Raises UserError when no trial is completed, or what
    would be exported has no checkpoint.
    """
    ranked = records.ranking(record for record in study.records if record.state == "completed")
    if not ranked or ranked[0].value is None:
        raise UserError(f"{study.folder}: no trial is completed yet; wait, or choose one with --trial N")
    best, name = ranked[0], study.objective.name
    near = [r for r in ranked if r.value is not None and abs(r.value - ranked[0].value) <= within]
    of_network: dict[str, TrialRecord] = {}
    for record in near:
        of_network.setdefault(str(architecture(record.recipe)), record)
    candidates = list(of_network.values())
    if len(candidates) == 1:
        say(f"the trials with {name} within {within:g} of trial {best.number}'s all have the same network")
        return best
    costs = _costs(study, candidates, cost, trainer, say)
    for record in candidates:
        say(
            f"trial {record.number}: {name} {record.value:.3f}, {measuring.shown(costs[record.number])}: "
            f"{records.in_words(record.recipe)}"
        )
    return min(
        candidates, key=lambda record: costs[record.number][cost]
    )  # of equal ones the best, which is first


def _costs(
    study: StudyRead, candidates: Sequence[TrialRecord], cost: str, trainer: str | None, say: Callable[[str], None]
) -> dict[int, Costs]:  # fmt: skip
    """By trial."""
    known = {r.number: {each: r.rungs[-1].metrics[each] for each in COSTS if each in r.rungs[-1].metrics}
             for r in candidates}  # fmt: skip
    if all(cost in costs for costs in known.values()):
        return dict(known)
    say(f"measuring {len(candidates)} networks with {DEFAULT_BACKEND}")
    exports = [
        export_trial(
            (study.folder / "trials" / str(record.number)).absolute(),
            study.manifest.data,
            {"study": study.manifest.study, "trial": record.number},
            trainer=trainer,
        )
        for record in candidates
    ]
    measured = measuring.latency_of(exports, DEFAULT_BACKEND)
    for record, timed in zip(candidates, measured, strict=True):
        if timed.remark:
            say(f"trial {record.number}: {measuring.shown(timed.costs)}{timed.remark}")
    return {record.number: timed.costs for record, timed in zip(candidates, measured, strict=True)}
