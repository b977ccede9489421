"""Ablation: trains the variants of the best trial's recipe, each as a study of one trial, and compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import search_spaces
from trainers.errors import UserError
from tuning.api import training
from tuning.api.ablation.variants import WINNER, Variant, variants, winner
from tuning.api.recipes.source import Source
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Table, number
from tuning.reporting.statistics.bootstrap import FEWEST_IMAGES, Interval, draw_resamples
from tuning.reporting.statistics.trial_bootstrap import TrialBootstrap, bootstrap_trial
from tuning.study import reading
from tuning.study.reading import StudyRead


@dataclass(frozen=True)
class Row:
    """A trained variant. value: its objective. loss: by how much the winner is better. seconds: of a gradient step.

    interval: of `loss`, simultaneous over all variants; None without enough stored results.
    """

    change: str
    value: float
    loss: float
    interval: Interval | None
    seconds: float


def run(
    study: StudyRead,
    budget: float | None,
    asked: Mapping[str, Any],
    trainer: str | None,
    console: Console,
) -> list[Row]:
    """Train the variants, each as a study of one trial beside `study`, and compare them; resumes where it was stopped.

    budget: of all variants together, in full-length trainings of the study, which shortens each; None for full length.
    asked: fields of training.Training for each, such as `threads`.
    """
    made, steps = _prepared(study, budget)
    for line in planned(study, budget):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    folders = []
    for variant in made:
        source = Source(
            variant.recipe,
            f"{study.manifest.study}, {variant.change}",
            str(study.folder),
            study.manifest.data,
        )
        name = f"{study.manifest.study}-ablation-{variant.name}"
        where = study.folder.parent
        one = training.Training(source=source, studies_dir=where, max_steps=steps, study=name, **asked)
        ended = training.run(one, trainer, console)
        if ended.stopped_by is not None:
            raise UserError("stopped; run the same command to resume")
        folders.append(where / name)
    return compared(made, folders, study)


def planned(study: StudyRead, budget: float | None) -> list[str]:
    """Lines for the user: what `run` would train. Raises UserError if there is nothing to ablate."""
    made, steps = _prepared(study, budget)
    number_of = winner(study).number
    head = f"{len(made)} trainings of {steps:,} steps: trial {number_of} again, and each of its choices put back:"
    return [head, *(f"  {variant.change}" for variant in made[1:])]


def _prepared(study: StudyRead, budget: float | None) -> tuple[list[Variant], int]:
    """The variants, and the steps of each."""
    best = winner(study)
    space, conditions = search_spaces.get(study.manifest.space), study.manifest.conditions()
    params = next(trial.params for trial in study.trials if trial.number == best.number)
    made = variants(space, conditions, params)
    if len(made) == 1:
        raise UserError(
            f"{study.folder}: trial {best.number}, the best, has the default of every choice; there is nothing to ablate"
        )
    full = study.manifest.max_steps
    return made, full if budget is None else max(1, min(full, int(budget * full / len(made))))


def compared(made: Sequence[Variant], folders: Sequence[Path], study: StudyRead) -> list[Row]:
    """The rows of trained variants, the winner first, then the largest loss first; without those that failed."""
    context = ReportContext(study)
    trained = [reading.read(str(folder), folder.parent) for folder in folders]
    lower = study.objective.direction == "minimize"
    values, bootstraps = [], []
    for one in trained:
        record = one.records[0] if one.records else None
        ready = record is not None and record.state == "completed" and record.rungs
        step = record.rungs[-1] if ready and record is not None else None
        values.append(study.objective.value(step.metrics) if step is not None else None)
        bootstraps.append(_bootstrapped(study, one, step.step) if step is not None else None)
    first, base = bootstraps[0], values[0]
    if base is None:
        raise UserError(f"{folders[0]}: the winner's training failed; there is nothing to compare with")
    rows = []
    for variant, one, value, bootstrap in zip(made, trained, values, bootstraps, strict=True):
        if value is None:
            continue
        interval = None
        if variant.name != WINNER and first is not None and bootstrap is not None:
            interval = context.lead(first, bootstrap, len(made))
        rung = one.records[0].rungs[-1]
        rows.append(
            Row(
                variant.change,
                value,
                (value - base) if lower else (base - value),
                interval,
                rung.seconds_training / rung.step,
            )
        )
    return [rows[0], *sorted(rows[1:], key=lambda row: -row.loss)]


def _bootstrapped(study: StudyRead, trained: StudyRead, step: int) -> TrialBootstrap | None:
    """The bootstrap of a training by the objective of the searched study; None without enough stored results."""
    results = study.task.read_results(trained.folder / "trials" / "0", step)
    if len(results) < FEWEST_IMAGES:
        return None
    return bootstrap_trial(study, results, draw_resamples(len(results)))


def table(rows: Sequence[Row], objective: str) -> Table:
    """The rows as a table for the user."""
    cells = []
    for row in rows:
        lost = "" if row is rows[0] else f"{row.loss:+.3f}"
        if row.interval is not None:
            lost += f" ({row.interval.low:+.3f} to {row.interval.high:+.3f})"
        cells.append((row.change, number(row.value), lost, f"{row.seconds:.3g} s"))
    note = (
        "lost: by how much the winner is better, with 95% intervals that hold at once, over the validation images; each "
        "was trained once, and another seed gives another result"
    )
    return Table(("change", objective, "lost", "time of a step"), cells, note)
