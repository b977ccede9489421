"""`python -m tuning.ledger STUDY`: which trial was stopped where and why, what it saved, and what it may have cost.

`--audit N` trains a random sample of the stopped trials to their end, and so finds out how often, and by how much, one
of them would have won.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from trainers.command import Parser, run
from tuning.command import DETECTOR_TRAINER, console_of
from tuning.search.budget import duration
from tuning.study import reading
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Entry:
    """One stopped trial.

    step: of the rung where it ended; mAP there; cutoff: what it would have needed.
    saved_steps, saved_seconds: what the rest of its training would have taken, at its own speed.
    audited: its mAP after all its steps, if an audit has trained it on.
    """

    trial: int
    step: int
    mAP: float
    cutoff: float | None
    reason: str
    saved_steps: int
    saved_seconds: float
    audited: float | None = None


@dataclass(frozen=True)
class Ledger:
    """The stopped trials of a study of `max_steps`, what all its trials took, and the best that went all the way."""

    entries: tuple[Entry, ...]
    spent_steps: int
    best: float | None

    @property
    def saved_steps(self) -> int:
        """Gradient steps that were not taken."""
        return sum(entry.saved_steps for entry in self.entries)

    @property
    def saved_share(self) -> float:
        """Of the steps that training everything to the end would have taken."""
        all_steps = self.saved_steps + self.spent_steps
        return self.saved_steps / all_steps if all_steps else 0.0

    @property
    def audited(self) -> list[Entry]:
        """The entries that an audit has trained to their end."""
        return [entry for entry in self.entries if entry.audited is not None]

    @property
    def regrets(self) -> list[float]:
        """By how much mAP each audited trial would have beaten the best; 0 for one that would not."""
        best = self.best or 0.0
        return [max(0.0, (entry.audited or 0.0) - best) for entry in self.audited]


def ledger(
    records: Iterable[TrialRecord], max_steps: int, audits: Mapping[str, Mapping[str, float]]
) -> Ledger:
    """The ledger of a study's trials.

    audits: final metrics of audited trials, by their number as text.
    """
    entries, spent, best = [], 0, None
    for record in records:
        spent += max(record.step, record.verdict.step if record.verdict else 0)
        if record.state == "completed" and record.mAP is not None and record.recipe["steps"] >= max_steps:
            best = max(best or 0.0, record.mAP)
        if record.state != "pruned" or not record.rungs:
            continue
        assert record.verdict is not None
        last, left = record.rungs[-1], int(record.recipe["steps"]) - record.step
        seconds = left * last.seconds_training / last.step
        audited = audits.get(str(record.number), {}).get("mAP")
        cutoff, reason = record.verdict.cutoff, record.verdict.reason
        entries.append(Entry(record.number, last.step, last.mAP, cutoff, reason, left, seconds, audited))
    return Ledger(tuple(entries), spent, best)


def lines(found: Ledger) -> list[str]:
    """The ledger as a person reads it."""
    said = []
    for entry in found.entries:
        line = f"trial {entry.trial} {entry.reason}; saved {entry.saved_steps} steps, {duration(entry.saved_seconds)}"
        if entry.audited is not None:
            line += f"; audited: mAP {entry.audited:.3f} at its end"
        said.append(line)
    seconds = duration(sum(entry.saved_seconds for entry in found.entries))
    said.append(
        f"{len(found.entries)} stopped trials saved {found.saved_steps:,} steps ({found.saved_share:.0%}) and {seconds} "
        "of training"
    )
    if found.audited:
        regrets = found.regrets
        won = sum(regret > 0 for regret in regrets)
        said.append(
            f"audit: {won} of {len(regrets)} sampled would have won, by {max(regrets):.3f} mAP at most "
            f"({sum(regrets) / len(regrets):.4f} on average), against the best of {found.best or 0:.3f}"
        )
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser(prog="python -m tuning.ledger", description=__doc__)
    parser.add_argument("study", help="its name, or its folder")
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"))
    parser.add_argument(
        "--audit", type=int, metavar="N", help="train so many of the stopped trials to their end"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the audit's sample")
    parser.add_argument("--data", help="of the study, if it is no longer where it was")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--trainer", default=DETECTOR_TRAINER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: argparse.Namespace) -> int:
    console = console_of(sys.stdout)
    study = reading.read(chosen.study, chosen.studies_dir)
    if chosen.audit is not None:
        from tuning.api import auditing

        auditing.audit(study, chosen.audit, chosen.seed, chosen.data, chosen.trainer, console)
        study = reading.read(chosen.study, chosen.studies_dir)
    show(ledger(study.records, study.manifest.max_steps, study.audits), console, chosen.format)
    return 0


def show(found: Ledger, console: Console, form: str) -> None:
    """Print it, as text or JSON."""
    if form == "json":
        fields = asdict(found) | {"saved_steps": found.saved_steps, "saved_share": found.saved_share}
        console.print_json(json.dumps(fields | {"regrets": found.regrets}))
        return
    for line in lines(found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
