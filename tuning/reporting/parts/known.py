"""Known recipes: what people published and what they report, beside what the study's own trials of them reached."""

from __future__ import annotations

import search_spaces
from trainers.errors import UserError
from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, number
from tuning.study import trial_record
from tuning.study.trial_record import TrialRecord

COMPARABLE = (
    "What people report was measured on their own splits of the Waymo scenes, at 640 pixels and from COCO weights: "
    "it says what is possible there, and compares with this study only if its data and budget are the same."
)


def section(material: Material) -> Section | None:
    """The published recipes of the study's models; nothing where none is known."""
    about = material.study.manifest
    try:
        branches = search_spaces.get(about.space).branches
    except UserError:  # a space of another version, or one recipe's training
        return None
    own = {str(record.provenance.get("name")): record for record in material.records if record.provenance}
    rows, data = [], []
    for branch in branches:
        for known in branch.published(about.preset):
            record = own.get(known.name)
            # the published run, and the study's trial of its recipe
            rows.append((known.name, known.source, *_trial(record)))
            data.append({
                "name": known.name, "source": known.source, "model": branch.model, "steps": known.recipe.steps,
                "trial": record and record.number, "value": record and record.value, "step": record and record.step,
            })  # fmt: skip
    if not rows:
        return None
    best = material.best
    text = [COMPARABLE]
    if best is not None:
        firsts = [record for record in own.values() if record.value is not None and record.step == best.step]
        if firsts:
            first = trial_record.ranking(firsts)[0]
            objective = material.study.objective
            gained = abs((best.value or 0) - (first.value or 0))
            better = objective.better(best.value or 0, first.value or 0)
            text.append(
                f"The best known recipe here is '{first.provenance['name']}' (trial {first.number}, {first.value:.3f})"
                + (
                    f"; the search gained {gained:.3f} on it."
                    if better
                    else ", which the search has not beaten."
                )
            )
    columns = (
        "recipe",
        "by whom, and what they report",
        "trial here",
        f"its {material.study.objective.name}",
        "at step",
    )
    return Section("known", "Known recipes", text, [Table(columns, rows)], data={"recipes": data})


def _trial(record: TrialRecord | None) -> tuple[str, str, str]:
    if record is None:
        return "not run", "–", "–"
    return f"{record.number} ({record.state})", number(record.value), f"{record.step:,}"
