"""A trial's training curve on disk: `metrics.jsonl` in its folder, one line for each recorded step.

    {"step": 12, "time": 1767225600123, "metrics": {"training_loss/total": 1.92, "learning_rate": 0.002, ...}}

time is in milliseconds since 1970. Tracking reads the file from the offset that it noted last, so a tracking server that
is down now gets the curve later.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuning.study.step_result import StepResult

POINTS = 200  # about as many steps are recorded of a full trial, evenly spaced


class CurveFile:
    """Appends to one trial's `metrics.jsonl`. Steps that a resumed trial repeats are not written again."""

    def __init__(self, path: Path, max_steps: int) -> None:
        self._path = path
        self._stride = math.ceil(max_steps / POINTS)
        self._last = _repair(path)

    def append(self, result: StepResult) -> bool:
        """Write the chunk's steps that are to be recorded. Returns whether there were any."""
        now = int(time.time() * 1000)
        lines = []
        for i, step in enumerate(result.steps):
            if step <= self._last or (step % self._stride and step != 1):
                continue
            metrics = {name: values[i] for name, values in result.curves.items() if math.isfinite(values[i])}
            if result.images_per_second:
                metrics["images_per_second"] = result.images_per_second
            lines.append(
                json.dumps({"step": step, "time": now, "metrics": metrics}, separators=(",", ":")) + "\n"
            )
            self._last = step
        if lines:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        return bool(lines)


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines from byte `offset` on, each with the offset after it. Skips a line that is still being written.

    All lines if none ends at `offset`: after a power cut, or on another machine, the file may be an earlier one.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(max(0, offset - 1))
        if offset and file.read(1) != b"\n":
            offset = 0
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, json.loads(line)


def _repair(path: Path) -> int:
    """Cut off a line that a killed driver left half-written. Returns the last step in the file, 0 if it is empty."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    lines = content[:whole].splitlines()
    return int(json.loads(lines[-1])["step"]) if lines else 0
