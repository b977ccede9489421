"""Watching: a running search as a table, from what its study has in the store or the database by now."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainers.errors import UserError
from tuning.callbacks.progress import COLORS, narrow_table
from tuning.jobs.cluster_jobs import ClusterJobs, Job
from tuning.search.limits.budget import duration
from tuning.stores.location import studies_folder
from tuning.study import reading
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.trial_record import in_words

LOOK_SECONDS = 5.0
MOST = 30  # trials in the table


@dataclass
class Watched:
    """A search and its study, as they were read last. line: the last one that the driver has printed."""

    job: Job
    study: StudyRead | None = None
    line: str = ""
    problem: str = ""


def look(jobs: ClusterJobs, name: str) -> Watched:
    """Read a search and its study now. A study that cannot be read from here is said in `problem`."""
    job, log = jobs.job(name), jobs.log(name)
    lines = [line for line in log.splitlines() if line.strip()]
    found = Watched(job, line=lines[-1] if lines else "")
    study = job.about.get("study") or named_in(log)
    if study:
        try:
            found.study = reading.read(study, studies_folder(job.about["studies_dir"]))
        except UserError as error:
            found.problem = str(error)
    return found


def named_in(log: str) -> str:
    """The study's name, as the driver prints it; "" before."""
    found = re.search(r"^study (\S+) in ", log, re.MULTILINE)
    return found[1] if found else ""


def table(seen: Watched, width: int) -> Table:
    """The newest trials, and the best."""
    study = seen.study
    objective = study.objective.name if study else "objective"
    made = narrow_table(width, "", {"recipe": 1}, "step", objective, "train time")
    found = study.records if study else []
    best = records.best(found)
    shown = found[-MOST:]
    if best is not None and best not in shown:
        shown = [best, *shown]
    for record in shown:
        made.add_row(
            str(record.number),
            Text(record.state, style=COLORS.get(record.state, "")),
            in_words(record.recipe),
            f"{record.step}/{study.manifest.max_steps if study else 0}",
            Text(
                f"{record.value:.3f}" if record.value is not None else "",
                style="bold green" if record is best else "",
            ),
            duration(record.seconds_training),
        )
    made.title, made.title_justify = (
        f"{seen.job.name} · {seen.job.state.lower()} · {len(found)} trials",
        "left",
    )
    made.caption, made.caption_justify = (
        Text(seen.problem or seen.line),
        "left",
    )  # no markup: [/data] may be in it
    return made


def watch(jobs: ClusterJobs, name: str, console: Console, pause: Callable[[float], None] = time.sleep) -> Job:
    """Show a search on a terminal until it ends. Returns it."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            seen = look(jobs, name)
            live.update(table(seen, console.width), refresh=True)
            if not seen.job.running:
                return seen.job
            pause(LOOK_SECONDS)
