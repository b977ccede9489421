"""About: the study's manifest: what a reader needs to judge the results and to repeat the search."""

from __future__ import annotations

from collections import Counter

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, listed
from tuning.reporting.style import STATES


def section(context: ReportContext) -> Section:
    """The manifest as a table."""
    about = context.study.manifest
    images = about.data["images"]
    subset = float(about.data.get("subset", 1.0))
    part = f" (a subset of {subset:.2%})" if subset < 1 else ""
    rows = [
        ("space", f"{about.space} ({about.space_hash}), preset {about.preset}"),
        ("objective", f"{context.study.objective.direction} {about.objective}"),
        (
            "data",
            f"{about.data['name']}: {images['train']:,} training{part}, {images['validation']:,} validation images",
        ),
        ("classes", listed(list(context.classes), 20)),
        ("data fingerprint", about.data["fingerprint"]),
        ("steps of a full trial", f"{about.max_steps:,}"),
        ("initial weights", "none: from scratch" if about.weights == "none" else about.weights),
        ("sampler", about.sampler),
        ("early stopping", f"{about.scheduler}, factor {about.reduction_factor}, brackets {about.brackets}"),
        ("seed", str(about.seed)),
        ("versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
    ]
    return Section("about", "About this study", tables=[Table(("", ""), rows)], data=about.to_dict())


def states(context: ReportContext) -> str:
    """How many trials are in each state: `4 completed, 6 pruned`."""
    counts = Counter(record.state for record in context.records)
    return ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state]) or "no trial yet"
