"""Advice: what to try next, from the edges of the space, the importances, and how the trials ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trainers.metrics import TOTAL_LOSS
from tuning.reporting.context import ReportContext
from tuning.reporting.parts.parameters import credible
from tuning.reporting.parts.winners.ranking import ranked_trials
from tuning.reporting.section import Section, counted, listed
from tuning.reporting.statistics.rung_trials import RungTrials

TOP = 4  # one trial in this many counts as good
FEWEST, MANY = 8, 20  # trials: the fewest for a tendency; enough not to advise more of them
EDGE = 0.15  # share of a range, on its own scale, that counts as its edge
MOST = 2 / 3  # share of the good trials that makes a tendency
CHANCE = 0.05  # probability that chance alone makes any tendency, over all parameters together
IDLE = 0.01  # an importance below this is none
RISING = 0.01  # gain since the previous rung from which more steps are worth trying


def section(context: ReportContext) -> Section | None:
    """The advice; None before the first trial has reached a rung."""
    if not context.ranked:
        return None
    found = [line for advise in ADVICE for line in advise(context)]
    text = found or ["No parameter or result stands out. To learn more, run more trials (--trials)."]
    return Section("next", "What to try next", text, data={"advice": found})


def _edges(context: ReportContext) -> list[str]:
    """Parameters whose good values lie at an end of their range, and choices that most good trials share."""
    at_rung = context.rung_trials
    if at_rung is None or len(at_rung.trials) < FEWEST:
        return []
    chance = CHANCE / max(len(context.importances), 1)
    return [line for name in context.importances if (line := tendency(at_rung, name, chance))]


def tendency(at_rung: RungTrials, name: str, chance: float) -> str | None:
    """What the good trials' values of parameter `name` have in common; None if the p-value is not below `chance`."""
    suggested = [
        (trial.params[name], trial.distributions[name]) for trial in at_rung.trials if name in trial.params
    ]
    good = suggested[: max(3, len(suggested) // TOP)]
    if len(suggested) < FEWEST:
        return None
    if isinstance(suggested[0][1], CategoricalDistribution):
        return _shared_choice(name, [value for value, _ in suggested], [value for value, _ in good], chance)
    places = [_place(value, distribution) for value, distribution in good]
    low, high = _ends(good[0][1])
    ends = (
        ([1 - place for place in places], f"lower end of its range: extend it below {low:g}."),
        (places, f"upper end of its range: extend it above {high:g}."),
    )
    for nearness, words in ends:
        count = sum(near >= 1 - EDGE for near in nearness)
        if count >= MOST * len(good) and _binomial_tail(count, len(good), EDGE) < chance:
            return f"{name}: {count} of the {len(good)} best trials lie at the {words}"
    return None


def _shared_choice(name: str, suggested: list[Any], good: list[Any], chance: float) -> str | None:
    choice = max(set(good), key=good.count)
    agree, have = good.count(choice), suggested.count(choice)
    # hypergeometric tail: how often a random subset of this size would have at least as many trials with the choice
    ways = sum(
        math.comb(have, k) * math.comb(len(suggested) - have, len(good) - k)
        for k in range(agree, len(good) + 1)
    )
    if agree < MOST * len(good) or ways / math.comb(len(suggested), len(good)) >= chance:
        return None
    shown = ("on" if choice else "off") if isinstance(choice, bool) else choice
    return (
        f"{name}: {agree} of the {len(good)} best trials have {shown}, and {have} of all {len(suggested)}: "
        f"fix it to {shown}."
    )


def _binomial_tail(count: int, of: int, share: float) -> float:
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low, distribution.high


def _place(value: float, distribution: BaseDistribution) -> float:
    """The position in the range on its own scale: 0 at the low end, 1 at the high end."""
    low, high = _ends(distribution)
    if high <= low:
        return 0.5
    if getattr(distribution, "log", False):
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _unimportant(context: ReportContext) -> list[str]:
    at_rung, found = context.rung_trials, context.importances
    if at_rung is None or not at_rung.informative or not credible(len(at_rung.trials), len(found)):
        return []
    idle = [name for name, share in found.items() if share < IDLE]
    return (
        [f"No measurable effect: {listed(idle)}. There is no need to search these further."] if idle else []
    )


def _longer(context: ReportContext) -> list[str]:
    best = context.best
    if best is None or best.state != "completed" or len(best.rungs) < 2:
        return []
    last, before = best.rungs[-1], best.rungs[-2]
    objective = context.study.objective
    gained = objective.criteria[0].rank(last.value) - objective.criteria[0].rank(before.value)
    gained *= objective.criteria[0].resolution or 1.0
    if gained < RISING or last.metrics.get(TOTAL_LOSS, 0.0) > before.metrics.get(TOTAL_LOSS, 0.0):
        return []
    return [
        f"The best trial was still improving when it ended: {last.value - before.value:+.3f} {objective.name} "
        f"from step {before.step:,} to {last.step:,}, "
        f"with a falling validation loss. Try longer trials: --max-steps {3 * last.step}."
    ]


def _undecided(context: ReportContext) -> list[str]:
    close = [each.trial for each in ranked_trials(context) if each.lead and not each.lead.excludes_zero]
    if not close:
        return []
    assert context.best is not None
    return [
        f"{counted(len(close), 'trial')} cannot be distinguished from the best on these validation images. To decide, "
        f"use more validation images, or train the recipes of trials {context.best.number} and {close[0]} again with "
        "other seeds (python -m tuning.train recipe.yaml)."
    ]


def _failures(context: ReportContext) -> list[str]:
    failed = [record for record in context.records if record.state == "failed"]
    if not failed:
        return []
    rates = [float(record.recipe["schedule"]["base"]) for record in failed]
    sound = [float(record.recipe["schedule"]["base"]) for record in context.ranked]
    if min(rates) > max(sound):
        return [
            f"{counted(len(failed), 'trial')} failed, all with learning rates of {min(rates):g} or more, with which no "
            "trial succeeded: lower the upper end of the range."
        ]
    reasons = sorted({record.verdict.reason for record in failed if record.verdict}, key=len)
    return [f"{counted(len(failed), 'trial')} failed: {listed(reasons, 3)}."]


def _more(context: ReportContext) -> list[str]:
    count = len(context.ranked)
    if count >= MANY:
        return []
    return [
        f"{counted(count, 'trial')} cover little of the space. To continue this search, run the same command with "
        f"--trials {max(2 * count, MANY)}."
    ]


ADVICE: tuple[Callable[[ReportContext], list[str]], ...] = (
    _edges,
    _longer,
    _undecided,
    _failures,
    _unimportant,
    _more,
)
