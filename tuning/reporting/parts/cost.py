"""Cost: gradient steps and worker time, by the state in which trials ended and by model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, counted
from tuning.search.limits import convergence
from tuning.search.limits.budget import duration
from tuning.study import spent as costs
from tuning.study.trial_record import TrialRecord


def section(context: ReportContext) -> Section | None:
    """Totals and a breakdown; None before the first trial has reached a rung or ended."""
    spent = [record for record in context.records if record.rungs or record.verdict is not None]
    if not spent:
        return None
    steps, training, overhead = totals(spent)
    most = context.study.manifest.max_steps
    seconds = training + overhead
    text = [
        f"{counted(len(spent), 'trial')} took {steps:,} gradient steps ({steps / most:.1f} full-length trials) and "
        f"{duration(seconds)} of worker time: {training / max(seconds, 1e-9):.0%} in gradient steps, the rest in "
        "starting, reading data, evaluating and saving."
    ]
    moved = costs.total(record.spent for record in spent)
    if moved.sent or moved.received:
        text.append(
            f"Workers moved {moved.sent / 1e9:.3g} GB to the object store, and {moved.received / 1e9:.3g} GB from it."
        )
    price = context.price_per_hour
    if price is not None:
        text.append(f"At {price:g} per worker and hour, that costs {seconds / 3600 * price:.2f}.")
    if (converged := context.study.converged) is not None:
        said = convergence.line(converged, context.study.objective.name)
        text.append(f"{said[0].upper()}{said[1:]}.")
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
    total |= {"bytes_sent": moved.sent, "bytes_received": moved.received}
    if price is not None:
        total["cost"] = seconds / 3600 * price
    columns = ("state or model", "trials", "steps", "time in gradient steps", "other time")
    return Section("cost", "Cost", text, [Table(columns, rows)], data={"total": total, "by": data})


def totals(records: Iterable[TrialRecord]) -> tuple[int, float, float]:
    """Gradient steps, seconds in gradient steps, and other seconds, summed over the trials."""
    spent = costs.total(record.spent for record in records)
    return spent.steps, spent.training, spent.overhead
