"""Cost: where the workers' time went, by how trials ended and by model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, counted
from tuning.search.budget import duration
from tuning.study.trial_record import TrialRecord


def section(material: Material) -> Section | None:
    """What the trials took; nothing before one has taken anything."""
    spent = [record for record in material.records if record.rungs or record.verdict is not None]
    if not spent:
        return None
    steps, training, overhead = totals(spent)
    most = material.study.manifest.max_steps
    seconds = training + overhead
    text = [
        f"{counted(len(spent), 'trial')} took {steps:,} gradient steps, as many as {steps / most:.1f} full "
        f"trainings, and {duration(seconds)} of workers: {training / max(seconds, 1e-9):.0%} in gradient steps, the "
        "rest in starting, reading data, evaluating and saving."
    ]
    price = material.price_per_hour
    if price is not None:
        text.append(f"At {price:g} an hour of a worker that is {seconds / 3600 * price:.2f}.")
    rows, data = [], []
    kinds: list[tuple[str, Callable[[TrialRecord], str]]] = [
        ("ended", lambda record: record.state),
        ("model", lambda record: record.model),
    ]
    for kind, of in kinds:
        for name in sorted({of(record) for record in spent}):
            mine = [record for record in spent if of(record) == name]
            taken, trained, other = totals(mine)
            rows.append((name, str(len(mine)), f"{taken:,}", duration(trained), duration(other)))
            data.append(
                {kind: name, "trials": len(mine), "steps": taken, "training": trained, "overhead": other}
            )
    total = {"trials": len(spent), "steps": steps, "training": training, "overhead": overhead}
    if price is not None:
        total["cost"] = seconds / 3600 * price
    columns = ("", "trials", "steps", "gradient steps took", "the rest")
    return Section("cost", "Cost", text, [Table(columns, rows)], data={"total": total, "by": data})


def totals(records: Iterable[TrialRecord]) -> tuple[int, float, float]:
    """Gradient steps, seconds in them, and seconds besides, of all these trials."""
    known = list(records)
    steps = sum(max(r.step, r.verdict.step if r.verdict else 0) for r in known)
    return steps, sum(r.seconds_training for r in known), sum(r.seconds_overhead for r in known)
