"""Descriptions (Markdown) on MLflow's page: of a study its result and its best trials, of a trial its verdict."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from trainers.objective import Objective
from tuning.study import trial_record as records
from tuning.study.trial_record import TrialRecord
from tuning.tracking.views import CURVES, DECIDED, GROUPS, TRIALS, link

NOTE = "mlflow.note.content"  # MLflow's tag of a description
SHOWN = 10  # trials


def of_trial(record: TrialRecord, objective: Objective) -> str:
    """How the trial ended, and its objective."""
    assert record.verdict is not None
    measured = (
        "" if record.value is None else f" {objective.name} {record.value:.3f} at step {record.step:,}."
    )
    source = record.provenance.get("source")
    origin = f"\n\nRecipe: {_text(record.provenance['name'])} ({_text(source)})" if source else ""
    return f"**{record.verdict.state}**: {_text(record.verdict.reason)}.{_text(measured)}{origin}"


def of_study(
    folder: Path,
    objective: Objective,
    trials: Sequence[TrialRecord],
    experiment: str,
    run_of: Callable[[int], str | None],
) -> str:
    """The result in two sentences, the ranking, and links to the views.

    folder: the study's. experiment: MLflow's id. run_of: MLflow's id of a trial's run.
    """
    ranked = [record for record in records.ranking(trials) if record.rungs and record.state != "failed"]
    states = [record.state for record in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none yet"
    name = objective.name
    result = "No trial has reached a rung yet."
    if ranked:
        best = ranked[0]
        result = (
            f"The best of {len(trials)} trials is {_run(best, experiment, run_of)} with {_text(name)} "
            f"**{best.value:.3f}** at step {best.step:,} ({_text(records.in_words(best.recipe))})."
        )
    rows = [
        f"| {rank} | {_run(record, experiment, run_of)} | {record.value:.3f} | {record.step:,} | {record.state} "
        f"| {_text(records.in_words(record.recipe))} |"
        for rank, record in enumerate(ranked[:SHOWN], start=1)
    ]
    table = [f"| rank | trial | {_text(name)} | step | state | recipe |", "|---|---|---|---|---|---|", *rows]
    shown = {TRIALS: "trials", CURVES: "curves", DECIDED: "what decided", GROUPS: "classes and sizes"}
    links = " · ".join(f"[{words}]({link(experiment, key)[1:]})" for key, words in shown.items())
    report = f"Report: `python -m tuning.report {folder}` writes `{folder / 'report.html'}`."
    lines = [f"{result} Trials: {counts}.", "", *(table if rows else []), "", f"Views: {links}", "", report]
    return "\n".join(lines)


def _run(record: TrialRecord, experiment: str, run_of: Callable[[int], str | None]) -> str:
    label, run = f"trial {record.number}", run_of(record.number)
    return f"[{label}](#/experiments/{experiment}/runs/{run})" if run else label


def _text(text: str) -> str:
    """Text that Markdown and HTML show literally."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
