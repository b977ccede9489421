"""Ranking: the trials, best first, with confidence intervals, and whether their differences are significant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tuning.reporting.context import ReportContext
from tuning.reporting.section import Section, Table, counted, number, with_interval
from tuning.reporting.statistics import significance
from tuning.reporting.statistics.bootstrap import Interval
from tuning.search.constraints.limit import COSTS
from tuning.study.trial_record import TrialRecord, in_words

SHOWN = 25


@dataclass(frozen=True)
class RankedTrial:
    """A trial in the ranking.

    value: the objective at its last rung, `step`. interval: its 95% confidence interval. headline: the task's other
    headline metrics at that rung. lead: the interval by which the best trial is ahead, if both have as many steps; such
    intervals hold at once for all pairs of trials with as many steps.
    """

    rank: int
    trial: int
    state: str
    step: int
    value: float
    interval: Interval | None
    headline: Mapping[str, float]
    lead: Interval | None
    recipe: str
    recipe_id: str


def ranked_trials(context: ReportContext) -> list[RankedTrial]:
    """The trials that reached a rung and did not fail, best first."""
    return [_ranked_trial(context, rank, record) for rank, record in enumerate(context.ranked, start=1)]


def headline(context: ReportContext) -> list[str]:
    """The task's headline metrics, without the objective, and what was measured of the served networks."""
    measured = context.ranked[0].rungs[-1].metrics if context.ranked else {}
    own = [name for name in context.study.task.headline if name != context.study.objective.name]
    return [*own, *(name for name in COSTS if name in measured)]


def section(context: ReportContext) -> Section:
    """The ranking; always there, so that the report of a study without results says so."""
    found = ranked_trials(context)
    if not found:
        return Section(
            "ranking", "Ranking", ["No trial has reached a rung yet, so there is nothing to rank."]
        )
    best, name = found[0], context.study.objective.name
    leads = {each.trial: each.lead for each in found if each.lead is not None}
    stopped = [each.trial for each in found if each.step < best.step]
    images = int(context.study.manifest.data["images"]["validation"])
    text = []
    if best.interval is None:
        text.append(
            f"Trial {best.trial} is first with {name} {best.value:.3f}. There is no confidence interval, because its "
            "per-image results are not stored, or there are too few images. Small differences may be chance."
        )
    else:
        text.append(
            f"Trial {best.trial} is first with {name} {best.value:.3f} (95% confidence interval over the validation "
            f"images: {best.interval.low:.3f} to {best.interval.high:.3f})."
        )
        rivals = len(context.rivals(context.ranked[0]))
        text += significance.sentences(
            name, best.trial, leads, images, stopped, rivals, context.best_without_luck
        )
    unseen = len(found) - SHOWN
    note = f"{counted(unseen, 'more trial')} in the JSON report." if unseen > 0 else ""
    columns = (
        "rank", "trial", "recipe", "state", "step", f"{name} (95% interval)", *headline(context),
        "behind the best (95% interval)",
    )  # fmt: skip
    table = Table(columns, [_row(each, best) for each in found[:SHOWN]], note)
    data = {
        "trials": [asdict(each) for each in found],
        "corrected_for_selection": context.best_without_luck,
    }
    return Section("ranking", "Ranking", text, [table], data=data)


def _ranked_trial(context: ReportContext, rank: int, record: TrialRecord) -> RankedTrial:
    best = context.best
    assert best is not None
    last, own = record.rungs[-1], context.bootstraps.get(record.number)
    return RankedTrial(
        rank=rank,
        trial=record.number,
        state=record.state,
        step=last.step,
        value=last.value,
        interval=context.clip_interval(own.objective.interval()) if own else None,
        headline={name: last.metrics.get(name, -1.0) for name in headline(context)},
        lead=None if record is best else context.lead_over(best, record),
        recipe=in_words(record.recipe),
        recipe_id=record.recipe_id,
    )


def _row(each: RankedTrial, best: RankedTrial) -> tuple[str, ...]:
    if each is best:
        behind = "–"
    elif each.lead is not None:
        lead = each.lead
        behind = f"{lead.value:.3f} ({lead.low:+.3f} to {lead.high:+.3f})"
        behind += "" if lead.excludes_zero else ", not significant"
    else:
        behind = "fewer steps" if each.step < best.step else "no interval"
    return (
        str(each.rank), str(each.trial), each.recipe, each.state, f"{each.step:,}",
        with_interval(each.value, each.interval), *map(number, each.headline.values()), behind,
    )  # fmt: skip
