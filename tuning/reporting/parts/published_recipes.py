"""Published recipes: the results that their authors report, beside those of this study's trials of them."""

from __future__ import annotations

import search_spaces
from trainers.errors import UserError
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, number
from tuning.study import trial_record
from tuning.study.trial_record import TrialRecord

COMPARABLE = (
    "Each reported result was measured on its author's own data, image size and initial weights. It is comparable with "
    "this study only if these and the budget are the same."
)


def section(context: ReportContext) -> Section | None:
    """The published recipes of the study's models; None if there are none, or the space is unknown."""
    about = context.study.manifest
    try:
        branches = search_spaces.get(about.space).branches
    except UserError:  # a space of another version, or the training of a single recipe
        return None
    began = [record for record in context.records if record.provenance and record.fork is None]
    named = {str(record.provenance.get("name")): record for record in began}
    rows, data, own = [], [], []
    for branch in branches:
        for published in branch.published(about.preset):
            record = named.get(published.name)
            own += [record] if record else []
            rows.append((published.name, published.source, *_trial(record)))
            data.append({
                "name": published.name, "source": published.source, "model": branch.model,
                "steps": published.recipe.steps,
                "trial": record and record.number, "value": record and record.value, "step": record and record.step,
            })  # fmt: skip
    if not rows:
        return None
    best = context.best
    text = [COMPARABLE]
    if best is not None:
        firsts = [record for record in own if record.value is not None and record.step == best.step]
        if firsts:
            first = trial_record.ranking(firsts)[0]
            objective = context.study.objective
            gained = abs((best.value or 0) - (first.value or 0))
            better = objective.better(best.value or 0, first.value or 0)
            text.append(
                f"The best published recipe in this study is '{first.provenance['name']}' (trial {first.number}, "
                f"{first.value:.3f})"
                + (
                    f"; the search improved on it by {gained:.3f}."
                    if better
                    else "; the search has not found a better one."
                )
            )
    columns = (
        "recipe",
        "author and reported result",
        "trial in this study",
        context.study.objective.name,
        "at step",
    )
    return Section("known", "Published recipes", text, [Table(columns, rows)], data={"recipes": data})


def _trial(record: TrialRecord | None) -> tuple[str, str, str]:
    if record is None:
        return "not run", "–", "–"
    return f"{record.number} ({record.state})", number(record.value), f"{record.step:,}"
