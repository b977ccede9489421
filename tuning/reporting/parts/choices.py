"""Choices: which choice did it: each choice of the space against the others, at equal steps, with its cost."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, counted, listed, number
from tuning.reporting.statistics.choice_effects import effects

FEWEST = 6  # trials for a table
SWITCH = (False, True)


def section(context: ReportContext) -> Section | None:
    """The table; None with few trials at one rung, or without a choice that they made differently.

    Shown are the choices that every trial makes, without switches: what a detector is made of, its optimizer, its
    schedule. That of the model has a section of its own.
    """
    at_rung = context.rung_trials
    if at_rung is None or not at_rung.informative or len(at_rung.trials) < FEWEST:
        return None
    every = set.intersection(*(set(trial.params) for trial in at_rung.trials))
    first = at_rung.trials[0]
    names = [name for name in first.params if name in every and _is_choice(first.distributions[name])]
    params: list[dict[str, Any]] = [dict(trial.params) for trial in at_rung.trials]
    lower = at_rung.direction == "minimize"
    found = effects(params, at_rung.values, names, lower)
    if not found:
        return None
    objective = context.study.objective.name
    clear = [each for each in found if each.interval is not None and each.interval.low > 0]
    text = [
        f"Each choice at {at_rung.step:,} steps, in {counted(len(params), 'trial')}: the mean {objective} of them, "
        "and its effect: by how much it is better than the mean of that parameter's choices, the other choices being "
        "equal. The 95% intervals hold at once for all of the table. A trial's other parameters, such as its learning "
        "rate, count as noise.",
        f"Better than the others of its kind: {listed([f'{each.parameter} {each.choice}' for each in clear])}."
        if clear
        else "No choice is significantly better than the others of its kind.",
    ]
    rows, data = [], []
    for each in found:
        seconds = _step_seconds(context, each.parameter, each.choice)
        effect = "–" if each.effect is None else f"{each.effect:+.3f}"
        if each.interval is not None:
            effect += f" ({each.interval.low:+.3f} to {each.interval.high:+.3f})"
        cost = "–" if seconds is None else f"{seconds:.3g} s"
        rows.append((each.parameter, each.choice, str(each.trials), number(each.mean), effect, cost))
        data.append(asdict(each) | {"step_seconds": seconds})
    columns = ("parameter", "choice", "trials", f"mean {objective}", "effect", "time of a step")
    return Section(
        "choices",
        "Which choice did it",
        text,
        [Table(columns, rows)],
        data={"step": at_rung.step, "choices": data},
    )


def _is_choice(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, CategoricalDistribution) and tuple(distribution.choices) != SWITCH


def _step_seconds(context: ReportContext, name: str, choice: str) -> float | None:
    """The median time of a gradient step of the trials with this choice, up to their first rung, in seconds."""
    assert context.rung_trials is not None
    pairs = zip(context.rung_trials.records, context.rung_trials.trials, strict=True)
    firsts = [record.rungs[0] for record, trial in pairs if str(trial.params[name]) == choice]
    measured = [rung.seconds_training / rung.step for rung in firsts if rung.seconds_training > 0]
    return statistics.median(measured) if measured else None
