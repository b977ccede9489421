"""Progress: shows a running search, as a live table on a terminal, otherwise as a line for each event."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainers import task as tasks
from tuning.search.callback import Callback
from tuning.search.limits.budget import Spending, duration
from tuning.search.limits.expectation import all_steps, expected
from tuning.search.search import Search
from tuning.study import trial_record as records
from tuning.study.step_result import StepResult
from tuning.study.trial_record import KNOWN, Rung, TrialRecord, in_words

COLORS = {
    "completed": "green",
    "pruned": "yellow",
    "failed": "red",
    "interrupted": "magenta",
    "running": "cyan",
    "waits": "blue",
}
RECENT = 8  # ended trials in the live table, besides the best
WIDE = 180  # columns from which on no text has to be shortened


class Line:
    """The row of one trial in the live table."""

    def __init__(self, record: TrialRecord) -> None:
        self.record = record
        self.step = record.step
        self.images_per_second = 0.0
        self.waits = False  # for promotion
        self.began = time.monotonic()
        self.steps_at_begin = record.step

    @property
    def seconds_per_step(self) -> float | None:
        """Wall seconds per step since this run began the trial; None before its first step."""
        steps = self.step - self.steps_at_begin
        return (time.monotonic() - self.began) / steps if steps else None


class Progress(Callback):
    """Prints a search's events; as a context manager it shows the live table on a terminal.

    console: where to print. spending: whose budget is shown below the table, and limits the time that is left.
    """

    def __init__(self, console: Console | None = None, spending: Spending | None = None) -> None:
        self._spending = spending
        self.console = console or Console()
        self._search: Search | None = None
        self._live: Live | None = None
        self._running: dict[int, Line] = {}
        self._ended: deque[Line] = deque(maxlen=RECENT)
        self._best: TrialRecord | None = None
        self._best_line: Line | None = None
        self._began = time.monotonic()
        self._expected_steps: int | None = None  # of all trials together

    def follow(self, search: Search) -> Progress:
        """Show `search`, with the trials of earlier runs. Returns self."""
        self._search = search
        if search.trials is not None:
            rungs = search.scheduler.rungs
            self._expected_steps = all_steps(rungs, expected(search.scheduler, search.trials)[0])
        for record in search.study.records():
            if record.verdict is not None and record.verdict.final:
                self._keep(Line(record))
        return self

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self.table, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def began(self, record: TrialRecord) -> None:
        """Add the trial's row; print a line."""
        self._running[record.number] = Line(record)
        starts = self._start(record)
        known = record.provenance.get(KNOWN)
        name = f"known from {known}, not trained again" if known else record.provenance.get("name")
        source = f" ({name})" if name else ""
        self._say(f"trial {record.number} {starts}: {in_words(record.recipe)}{source}")

    def _start(self, record: TrialRecord) -> str:
        """Where the trial starts, in words: its newest checkpoint may be later than its last rung, or gone."""
        step = self._search.study.saved_step(record.number) if self._search else 0
        if step and not (record.fork and step <= record.began_at):
            return f"resumes from step {step}"
        return "starts again: its checkpoint is gone" if record.step > step else "starts"

    def progressed(self, result: StepResult) -> None:
        """Update the trial's step and speed."""
        line = self._running[result.trial]
        line.step = result.step
        if result.note:
            self._say(f"trial {result.trial}: {result.note}")
        line.images_per_second = result.images_per_second or line.images_per_second

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """Update the trial's row; print the metrics."""
        line = self._running[record.number]
        line.record, line.step, line.waits = record, rung.step, rung.decision == "pause"
        self._compare(line)
        speed = f", {line.images_per_second:.1f} images/s" if line.images_per_second else ""
        waits = "; waits for promotion" if line.waits else ""
        self._say(f"trial {record.number} step {rung.step}: {self._measured(rung)}{speed}{waits}")

    def lost(self, record: TrialRecord) -> None:
        """Print that the worker died."""
        machine = record.losses[-1] if record.losses else ""
        why = (
            f"its machine was lost ({machine})"
            if machine
            else "its worker process died (out of memory, or killed)"
        )
        self._say(f"trial {record.number}: {why}")

    def ended(self, record: TrialRecord) -> None:
        """Print the verdict, and the time that the search will still take."""
        line = self._running.pop(record.number, None) or Line(record)
        line.record = record
        assert record.verdict is not None
        if record.verdict.final:
            self._keep(line)
        best = f"; {self._best_so_far()}" if self._best else ""
        self._say(
            f"trial {record.number} {record.verdict.state}: {record.verdict.reason}{best}{self._left(', ')}"
        )

    def table(self) -> Table:
        """The live table as it is now."""
        table = narrow_table(
            self.console.width, self._title(), {"recipe": 1}, "step", self._objective, "images/s", "left"
        )
        table.caption, table.caption_justify = self._caption(), "left"
        others = [*self._ended, *self._running.values()]
        best = [self._best_line] if self._best_line and self._best_line not in others else []
        for line in [*best, *others]:
            table.add_row(*self._row(line))
        return table

    def _row(self, line: Line) -> tuple[str | Text, ...]:
        record = line.record
        running = record.number in self._running and not line.waits
        state = "waits" if line.waits else "running" if running else record.state
        steps = self._search.scheduler.rungs if self._search else (0,)
        left = ""
        if running and line.seconds_per_step is not None:
            left = duration((steps[-1] - line.step) * line.seconds_per_step)
        best = self._best is not None and self._best.number == record.number
        score = "" if record.value is None else f"{record.value:.3f}"
        return (
            str(record.number),
            Text(state, style=COLORS.get(state, "")),
            in_words(record.recipe),
            f"{line.step}/{steps[-1]}",
            Text(score, style="bold green" if best else ""),
            f"{line.images_per_second:.1f}" if line.images_per_second else "",
            left,
        )

    def _title(self) -> str:
        if self._search is None:
            return ""
        best = f" · {self._best_so_far()}" if self._best else ""
        of = f" of {self._search.trials}" if self._search.trials is not None else ""
        return f"{self._search.study.name} · {self._search.ended}{of} trials{best}"

    def _caption(self) -> str:
        line = self._spending.line() if self._spending else ""
        spent = f" · {line}" if line else ""
        return f"{duration(time.monotonic() - self._began)} so far{spent}{self._left(' · ')}"

    def _left(self, before: str) -> str:
        if self._search is None or self._search.over:
            return ""
        found = self._spending.seconds_left() if self._spending else None
        left = [seconds for seconds in (found, self._left_of_trials()) if seconds is not None]
        return f"{before}about {duration(min(left))} left" if left else ""

    def _left_of_trials(self) -> float | None:
        """Seconds until the search has its number of trials, by the steps that these are expected to take.

        None without one, before the first steps, and when they have taken as many as that.
        """
        if self._expected_steps is None or self._spending is None:
            return None
        meter = self._spending.meter
        if not 0 < meter.steps < self._expected_steps:
            return None
        return meter.wall_seconds * (self._expected_steps / meter.steps - 1)

    @property
    def _objective(self) -> str:
        return self._search.study.objective.name if self._search else "objective"

    def _best_so_far(self) -> str:
        assert self._best is not None
        return f"best {self._objective} {self._best.value:.3f} (trial {self._best.number})"

    def _measured(self, rung: Rung) -> str:
        found = {self._objective: rung.value}
        if self._search:
            headline = tasks.get(self._search.study.manifest.task).headline
            found |= {name: rung.metrics[name] for name in headline if name in rung.metrics}
        return ", ".join(f"{name} {value:.3f}" for name, value in found.items())

    def _keep(self, line: Line) -> None:
        line.step = max(line.step, line.record.verdict.step if line.record.verdict else 0)
        line.waits = False
        self._compare(line)
        self._ended.append(line)

    def _compare(self, line: Line) -> None:
        best = records.best([line.record, *([self._best] if self._best else [])])
        if best is line.record:
            self._best, self._best_line = best, line

    def _say(self, line: str) -> None:
        if self._live is None:
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def narrow_table(width: int, title: str, texts: Mapping[str, int], *numbers: str) -> Table:
    """An empty table with the columns trial, state, `texts` and `numbers`; only texts are shortened if it is too wide.

    width: of the terminal. texts: names of text columns, each with its share of the remaining width.
    """
    table = Table(title=title, title_justify="left", expand=width < WIDE)
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name, share in texts.items():
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=share if width < WIDE else None)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
