"""Report: all sections of the report on a study, the most important first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuning.reporting.context import ReportContext
from tuning.reporting.parts import (
    about,
    advice,
    breakdown,
    choices,
    cost,
    curves,
    detectors,
    early_stopping,
    label_errors,
    losses,
    parameters,
    population,
    predictions,
    published_recipes,
)
from tuning.reporting.parts.winners import confirmation, front, ranking
from tuning.reporting.section import Section, with_interval
from tuning.study.reading import StudyRead

PARTS: tuple[Callable[[ReportContext], Section | None], ...] = (
    label_errors.section,
    ranking.section,
    confirmation.section,
    front.section,
    detectors.section,
    choices.section,
    predictions.section,
    curves.section,
    losses.section,
    parameters.section,
    breakdown.section,
    early_stopping.section,
    population.section,
    published_recipes.section,
    cost.section,
    advice.section,
    about.section,
)


@dataclass(frozen=True)
class Report:
    """The report on a study, independent of its format.

    headline: the best trial's objective, or "No result yet". subtitle: the number of trials in each state.
    commands: (purpose, command line) pairs: what a reader may want to do next. generated: local date and time.
    """

    study: str
    headline: str
    subtitle: str
    commands: tuple[tuple[str, str], ...]
    generated: str
    sections: tuple[Section, ...]


def report(
    study: StudyRead, data: str | None = None, price_per_hour: float | None = None, suspects: bool = False
) -> Report:
    """Build the report on a study, finished or running.

    data: where its dataset is now, if it was moved; for the pictures. price_per_hour: of one worker, for the cost.
    suspects: begin with likely label errors.
    Raises UserError if a file of results is damaged.
    """
    context = ReportContext(study, data, price_per_hour, suspects)
    sections = [section for part in PARTS if (section := part(context)) is not None]
    best, name = context.best, study.manifest.study
    open_trials = sum(record.state in ("running", "interrupted") for record in context.records)
    unfinished = f"; {open_trials} unfinished" if open_trials else ""
    headline = "No result yet"
    commands = [("list the stopped trials", _command("tuning.ledger", study.folder, name))]
    if best is not None and best.value is not None:
        bootstrap = context.bootstraps.get(best.number)
        interval = context.clip_interval(bootstrap.objective.interval()) if bootstrap else None
        headline = f"{study.objective.name} {with_interval(best.value, interval)} by trial {best.number}"
        if (corrected := context.best_without_luck) is not None and len(context.rivals(best)) > 1:
            headline += f"; {corrected:.3f} corrected for selection"
        commands = [
            ("train it again", _command("tuning.train", study.folder, f"--trial {name}/{best.number}")),
            ("promote it", _command("tuning.promote", study.folder, f"{name} --trial {best.number}")),
        ]
    return Report(
        study=name,
        headline=headline,
        subtitle=about.states(context) + unfinished,
        commands=tuple(commands),
        generated=time.strftime("%Y-%m-%d %H:%M"),
        sections=tuple(sections),
    )


def _command(module: str, folder: Path, arguments: str) -> str:
    where = "" if folder.parent.name == "studies" else f" --studies-dir {folder.parent}"
    return f"python -m {module} {arguments}{where}"
