"""Report: all parts, in the order in which a person asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuning.reporting.material import Material
from tuning.reporting.parts import (
    about,
    advice,
    breakdown,
    cost,
    curves,
    detectors,
    early_stopping,
    known,
    losses,
    parameters,
    predictions,
    ranking,
)
from tuning.reporting.section import Section, with_interval
from tuning.study.reading import StudyRead

PARTS: tuple[Callable[[Material], Section | None], ...] = (
    ranking.section,
    detectors.section,
    predictions.section,
    curves.section,
    losses.section,
    parameters.section,
    breakdown.section,
    early_stopping.section,
    known.section,
    cost.section,
    advice.section,
    about.section,
)


@dataclass(frozen=True)
class Report:
    """What is said of a study.

    headline: the best trial's objective, or "no result yet". subtitle: how many trials ended how, and whether it
        goes on.
    commands: what a reader may do next, a line each. generated: when, in local time.
    """

    study: str
    headline: str
    subtitle: str
    commands: tuple[tuple[str, str], ...]
    generated: str
    sections: tuple[Section, ...]


def report(study: StudyRead, data: str | None = None, price_per_hour: float | None = None) -> Report:
    """The report on a study as it was read; see Material."""
    material = Material(study, data, price_per_hour)
    sections = [section for part in PARTS if (section := part(material)) is not None]
    best, name = material.best, study.manifest.study
    open_trials = sum(record.state in ("running", "interrupted") for record in material.records)
    goes_on = f"; unfinished: {open_trials} may still go on" if open_trials else ""
    headline, commands = "No result yet", [("see the search", _command("tuning.ledger", study.folder, name))]
    if best is not None and best.value is not None:
        evidence = material.evidence.get(best.number)
        interval = material.bounded(evidence.objective.interval()) if evidence else None
        headline = f"{study.objective.name} {with_interval(best.value, interval)} by trial {best.number}"
        commands = [
            ("run it again", _command("tuning.train", study.folder, f"--trial {name}/{best.number}")),
            ("promote it", _command("tuning.promote", study.folder, f"{name} --trial {best.number}")),
        ]
    return Report(
        study=name,
        headline=headline,
        subtitle=about.states(material) + goes_on,
        commands=tuple(commands),
        generated=time.strftime("%Y-%m-%d %H:%M"),
        sections=tuple(sections),
    )


def _command(module: str, folder: Path, arguments: str) -> str:
    where = "" if folder.parent.name == "studies" else f" --studies-dir {folder.parent}"
    return f"python -m {module} {arguments}{where}"
