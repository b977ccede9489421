"""The final report of a search on the terminal: the ranking, the best trial, and the next commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from trainers import task as tasks
from tuning.callbacks.progress import COLORS, narrow_table
from tuning.search.limits import convergence
from tuning.search.limits.budget import duration
from tuning.study import pareto
from tuning.study import trial_record as records
from tuning.study.confirmed import confirmed
from tuning.study.reading import CONVERGED
from tuning.study.study import Study
from tuning.study.trial_folder import newest_checkpoint
from tuning.tracking.notes import read_note
from tuning.tracking.views import link

SHOWN = 10  # trials in the ranking
LOCAL_SERVER = "http://127.0.0.1:5000"  # the default of `mlflow ui`
MEDIUM = 110  # columns from which on there is room for reasons


def show(
    study: Study, console: Console, tracking_uri: str, command: list[str] | None, trials: int | None
) -> None:
    """Print the final report.

    command: the command line of the search; None if it was started from Python.
    trials: the limit on the number of trials; None without one.
    """
    known = [record for record in study.records() if record.verdict is not None]
    ranked = records.ranking(known)
    title = f"{study.name}: {_counts(known)}, {duration(study.wall_seconds)}"
    texts = {"recipe": 2, "why": 3} if console.width >= MEDIUM else {"recipe": 1}
    objective = study.objective.name
    others = [name for name in tasks.get(study.manifest.task).headline if name != objective]
    table = narrow_table(console.width, title, texts, "step", objective, *others)
    for record in ranked[:SHOWN]:
        assert record.verdict is not None
        last = record.rungs[-1] if record.rungs else None
        table.add_row(
            str(record.number),
            Text(record.state, style=COLORS[record.state]),
            *[records.in_words(record.recipe), record.verdict.reason][: len(texts)],
            str(record.verdict.step),
            f"{last.value:.3f}" if last else "",
            *(f"{last.metrics.get(name, 0.0):.3f}" if last else "" for name in others),
        )
    console.print(table)
    if len(ranked) > SHOWN:
        console.print(f"... and {len(ranked) - SHOWN} more in {study.folder / 'summary.json'}")
    best = records.best(known)
    lines = []
    if best is not None:
        folder = study.trial_folder(best.number)
        lines.append(("best", f"trial {best.number}, {objective} {best.value:.3f}, recipe {best.recipe_id}"))
        lines.append(("recipe", str(folder / "recipe.yaml")))
        newest = newest_checkpoint(folder)
        if newest:
            lines.append(("checkpoint", str(newest[1])))
    for record in pareto.front(known, study.objective):
        further = ", ".join(f"{name} {record.rungs[-1].metrics[name]:.3g}" for name in study.objective.also)
        lines.append(("front", f"trial {record.number}, {objective} {record.value:.3f}, {further}"))
    if (share := pareto.dominated_share(known, study.objective)) is not None:
        lines.append(("hypervolume", f"{share:.2f} of what the completed trials span"))
    if (found := confirmed(known, study.objective)) is not None:
        lines += [("confirmed", line) for line in found.lines(objective)]
    if (noted := study.attribute(CONVERGED)) is not None:
        lines.append(("converged", convergence.line(noted, objective).removeprefix("converged ")))
    lines.append(("summary", str(study.folder / "summary.json")))
    lines += seen_in_mlflow(study.folder, tracking_uri)
    if any(record.state == "completed" for record in known):
        folder_name = shlex.quote(str(study.folder))
        lines.append(("postprocess", f"{_program('python')} -m tuning.postprocess {folder_name} --write"))
        lines.append(("serve it", f"{_program('python')} -m tuning.promote {folder_name}"))
    ended = sum(record.verdict is not None and record.verdict.final for record in known)
    if command is None:
        pass
    elif trials is None or ended < trials:
        lines.append(("resume", shlex.join(command)))
    else:
        lines.append(("more trials", shlex.join(with_trials(command, 2 * trials))))
    for name, text in lines:
        console.print(Text(f"{name:<12}", style="bold") + Text(text), soft_wrap=True)


def seen_in_mlflow(folder: Path, tracking_uri: str) -> list[tuple[str, str]]:
    """Lines that say how to see the study in MLflow: the command of its page, and a link to the trials, best first."""
    lines, server = [], tracking_uri.rstrip("/")
    if not tracking_uri.startswith(("http://", "https://")):
        server = LOCAL_SERVER
        lines.append(("see it", f"{_program('mlflow')} ui --backend-store-uri {shlex.quote(tracking_uri)}"))
    experiment = read_note(folder, tracking_uri).get("experiment")
    return [*lines, ("trials", server + link(experiment))] if experiment else lines


def with_trials(command: list[str], trials: int) -> list[str]:
    """The command with `--trials` set to another value."""
    words = [word for word in command if not word.startswith("--trials=")]
    if "--trials" in words:
        at = words.index("--trials")
        del words[at : at + 2]
    return [*words, "--trials", str(trials)]


def python_command(arguments: list[str]) -> list[str]:
    """The command line that runs `tuning.run` with these arguments."""
    return [_program("python"), "-m", "tuning.run", *arguments]


def _program(name: str) -> str:
    here = Path(".venv/bin", name)
    return str(here) if here.exists() else name


def _counts(known: list[records.TrialRecord]) -> str:
    counts = {state: sum(record.state == state for record in known) for state in COLORS if state != "running"}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no trial has ended"
