"""Breakdown: what the foremost trials find of each class and of each size of box."""

from __future__ import annotations

from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, listed, number, with_interval

SHOWN = 8
CLASSES = 20  # with more, the best and the worst
SIZES = ("small", "medium", "large")


def section(material: Material) -> Section | None:
    """Tables by class and by size."""
    trials = material.ranked[:SHOWN]
    if not trials:
        return None
    best = trials[0]
    metrics = best.rungs[-1].metrics
    by_class = {name: metrics.get(f"AP/{name}", -1.0) for name in material.classes}
    known = sorted((name for name in by_class if by_class[name] >= 0), key=lambda name: -by_class[name])
    text, note = [], ""
    if len(known) > 1:
        text.append(
            f"Trial {best.number} finds {known[0]} best (AP {by_class[known[0]]:.3f}) and {known[-1]} worst "
            f"({by_class[known[-1]]:.3f})."
        )
    if missing := [name for name in by_class if by_class[name] < 0]:
        text.append(f"No validation image has a box of {listed(missing)}.")
    sizes = {size: metrics.get(f"mAP_{size}", -1.0) for size in SIZES}
    if sizes["small"] >= 0 and sizes["large"] > 2 * sizes["small"]:
        text.append(
            f"Small boxes (under 32 x 32 pixels) are the weakness: mAP {sizes['small']:.3f}, large ones "
            f"{sizes['large']:.3f}. Larger images would help, at their price."
        )
    shown = known
    if len(known) > CLASSES:
        shown = known[: CLASSES // 2] + known[-CLASSES // 2 :]
        note = f"The best and the worst {CLASSES // 2} of {len(known)} classes."
    intervals = material.evidence[best.number].classes if best.number in material.evidence else {}
    rows = []
    for name in shown:
        interval = intervals[name].interval().within(0, 1) if name in intervals else None
        others = (number(trial.rungs[-1].metrics.get(f"AP/{name}")) for trial in trials[1:])
        rows.append((name, with_interval(by_class[name], interval), *others))
    heads = [f"trial {trial.number}" for trial in trials]
    tables = [Table(("AP of class", f"{heads[0]} (95%)", *heads[1:]), rows, note)]
    names = [f"{kind}_{size}" for kind in ("mAP", "AR") for size in SIZES]
    rows = [(_said(name), *(number(trial.rungs[-1].metrics.get(name)) for trial in trials)) for name in names]
    tables.append(Table(("size", *heads), rows))
    data = {"trials": [{"trial": trial.number, **trial.rungs[-1].metrics} for trial in trials]}
    return Section("breakdown", "By class and by size", text, tables, data=data)


def _said(name: str) -> str:
    kind, size = name.split("_")
    return f"{kind}, {size} boxes"
