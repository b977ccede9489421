"""Advice: what to try next, drawn from the edges of the space, the importances and how the trials ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trainers.metrics import TOTAL_LOSS
from tuning.reporting.material import Material
from tuning.reporting.parts.parameters import credible
from tuning.reporting.parts.ranking import standings
from tuning.reporting.section import Section, counted, listed
from tuning.reporting.statistics.at_rung import AtRung

TOP = 4  # of so many trials one is a good one
FEWEST, MANY = 8, 20  # trials that a tendency can be read from
EDGE = 0.15  # of a range is its edge; by chance as many of the good trials lie there
MOST = 2 / 3  # of the good trials make a tendency,
CHANCE = 0.05  # if chance would make any in all the parameters less often than this
IDLE = 0.01  # an importance that is none
RISING = 0.01  # gain over the last rung that is worth more steps


def section(material: Material) -> Section | None:
    """The advice, or nothing when there is no trial to draw it from."""
    if not material.ranked:
        return None
    found = [line for advise in ADVICE for line in advise(material)]
    text = found or ["Nothing stands out: more trials (--trials) are the way to learn more."]
    return Section("next", "What to try next", text, data={"advice": found})


def _edges(material: Material) -> list[str]:
    """Ranges whose edge the good trials crowd, and choices that they agree on."""
    there = material.there
    if there is None or len(there.trials) < FEWEST:
        return []
    chance = CHANCE / max(len(material.importances), 1)
    return [line for name in material.importances if (line := tendency(there, name, chance))]


def tendency(there: AtRung, name: str, chance: float) -> str | None:
    """What the good trials have in common in parameter `name`, if chance alone would do it less often than that."""
    asked = [
        (trial.params[name], trial.distributions[name]) for trial in there.trials if name in trial.params
    ]
    good = asked[: max(3, len(asked) // TOP)]
    if len(asked) < FEWEST:
        return None
    if isinstance(asked[0][1], CategoricalDistribution):
        return _agreed(name, [value for value, _ in asked], [value for value, _ in good], chance)
    places = [_place(value, distribution) for value, distribution in good]
    low, high = _ends(good[0][1])
    ends = (
        ([1 - place for place in places], f"lower end of its range. Let it go below {low:g}."),
        (places, f"upper end of its range. Let it go above {high:g}."),
    )
    for nearness, words in ends:
        crowd = sum(near >= 1 - EDGE for near in nearness)
        if crowd >= MOST * len(good) and _by_chance_alone(crowd, len(good), EDGE) < chance:
            return f"{name}: {crowd} of the {len(good)} best trials lie at the {words}"
    return None


def _agreed(name: str, asked: list[Any], good: list[Any], chance: float) -> str | None:
    choice = max(set(good), key=good.count)
    agree, have = good.count(choice), asked.count(choice)
    # of as many trials drawn from all that were asked, so many or more would agree by chance this often
    ways = sum(
        math.comb(have, k) * math.comb(len(asked) - have, len(good) - k) for k in range(agree, len(good) + 1)
    )
    if agree < MOST * len(good) or ways / math.comb(len(asked), len(good)) >= chance:
        return None
    shown = ("on" if choice else "off") if isinstance(choice, bool) else choice
    return f"{name}: {agree} of the {len(good)} best trials have it {shown}, of all {have} of {len(asked)}. Keep it."


def _by_chance_alone(count: int, of: int, share: float) -> float:
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low, distribution.high


def _place(value: float, distribution: BaseDistribution) -> float:
    """0 at the low end of its range, 1 at the high one, on its own scale."""
    low, high = _ends(distribution)
    if high <= low:
        return 0.5
    if getattr(distribution, "log", False):
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _unimportant(material: Material) -> list[str]:
    there, found = material.there, material.importances
    if there is None or not credible(len(there.trials), len(found)):
        return []
    idle = [name for name, share in found.items() if share < IDLE]
    return [f"{listed(idle)} made no difference to speak of: leave them as they are."] if idle else []


def _longer(material: Material) -> list[str]:
    best = material.best
    if best is None or best.state != "completed" or len(best.rungs) < 2:
        return []
    last, before = best.rungs[-1], best.rungs[-2]
    objective = material.study.objective
    gained = objective.criteria[0].rank(last.value) - objective.criteria[0].rank(before.value)
    gained *= objective.criteria[0].resolution or 1.0
    if gained < RISING or last.metrics.get(TOTAL_LOSS, 0.0) > before.metrics.get(TOTAL_LOSS, 0.0):
        return []
    return [
        f"The best trial was still improving when it ended: {last.value - before.value:+.3f} {objective.name} "
        f"from step {before.step:,} to {last.step:,}, "
        f"with a falling validation loss. Try --max-steps {3 * last.step}."
    ]


def _undecided(material: Material) -> list[str]:
    close = [each.trial for each in standings(material) if each.lead and not each.lead.excludes_zero]
    if not close:
        return []
    assert material.best is not None
    return [
        f"{counted(len(close), 'trial')} cannot be told from the best on these validation images. What decides is more "
        f"images, or the recipes of trials {material.best.number} and {close[0]} again with other seeds (python -m "
        "tuning.train recipe.yaml)."
    ]


def _failures(material: Material) -> list[str]:
    failed = [record for record in material.records if record.state == "failed"]
    if not failed:
        return []
    rates = [float(record.recipe["schedule"]["base"]) for record in failed]
    sound = [float(record.recipe["schedule"]["base"]) for record in material.ranked]
    if min(rates) > max(sound):
        return [
            f"{counted(len(failed), 'trial')} failed, all at learning rates from {min(rates):g} up, where none went "
            "well: lower the range's upper end."
        ]
    reasons = sorted({record.verdict.reason for record in failed if record.verdict}, key=len)
    return [f"{counted(len(failed), 'trial')} failed: {listed(reasons, 3)}."]


def _more(material: Material) -> list[str]:
    count = len(material.ranked)
    if count >= MANY:
        return []
    return [
        f"{counted(count, 'trial')} leave most of the space unseen. The same command with "
        f"--trials {max(2 * count, MANY)} goes on from here."
    ]


ADVICE: tuple[Callable[[Material], list[str]], ...] = (
    _edges,
    _longer,
    _undecided,
    _failures,
    _unimportant,
    _more,
)
