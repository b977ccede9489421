"""Ranking: the trials, best first, with intervals over the validation images and what their differences are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tuning.reporting.material import Material
from tuning.reporting.section import Section, Table, counted, number, with_interval
from tuning.reporting.statistics import noise
from tuning.reporting.statistics.bootstrap import Interval
from tuning.study.trial_record import TrialRecord, in_words

SHOWN = 25


@dataclass(frozen=True)
class Standing:
    """A trial's place.

    value: the objective at `step`, its last rung. headline: the task's other headline metrics there.
    lead: of the best over it, where both had as many steps.
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


def standings(material: Material) -> list[Standing]:
    """Every trial that has reached a rung, best first."""
    return [_standing(material, rank, record) for rank, record in enumerate(material.ranked, start=1)]


def headline(material: Material) -> list[str]:
    """The task's headline metrics besides the objective."""
    return [name for name in material.study.task.headline if name != material.study.objective.name]


def section(material: Material) -> Section:
    """The ranking as a part of the report."""
    found = standings(material)
    if not found:
        return Section("ranking", "Ranking", ["No trial has reached a rung yet: there is nothing to rank."])
    best, name = found[0], material.study.objective.name
    leads = {each.trial: each.lead for each in found if each.lead is not None}
    stopped = [each.trial for each in found if each.step < best.step]
    images = int(material.study.manifest.data["images"]["validation"])
    text = []
    if best.interval is None:
        text.append(
            f"Trial {best.trial} is first with {name} {best.value:.3f}. Its results by image were not kept, or are of "
            "too few images, so there is no interval: a difference may be noise of the validation images."
        )
    else:
        text.append(
            f"Trial {best.trial} is first with {name} {best.value:.3f}; on endless images of the same kind it "
            f"would be between {best.interval.low:.3f} and {best.interval.high:.3f} (95%)."
        )
        text += noise.sentences(name, best.trial, leads, images, stopped, len(found))
    unseen = len(found) - SHOWN
    note = f"{counted(unseen, 'more trial')} in the JSON report." if unseen > 0 else ""
    columns = (
        "", "trial", "recipe", "ended", "step", f"{name} (95% interval)", *headline(material),
        "behind the best (95%)",
    )  # fmt: skip
    table = Table(columns, [_row(each, best) for each in found[:SHOWN]], note)
    return Section("ranking", "Ranking", text, [table], data={"trials": [asdict(each) for each in found]})


def _standing(material: Material, rank: int, record: TrialRecord) -> Standing:
    best, evidence = material.best, material.evidence
    assert best is not None
    last = record.rungs[-1]
    own, first = evidence.get(record.number), evidence.get(best.number)
    comparable = own is not None and first is not None and record is not best and record.step == best.step
    return Standing(
        rank=rank,
        trial=record.number,
        state=record.state,
        step=last.step,
        value=last.value,
        interval=material.bounded(own.objective.interval()) if own else None,
        headline={name: last.metrics.get(name, -1.0) for name in headline(material)},
        lead=material.lead(first, own) if comparable and own and first else None,
        recipe=in_words(record.recipe),
        recipe_id=record.recipe_id,
    )


def _row(each: Standing, best: Standing) -> tuple[str, ...]:
    if each is best:
        behind = "–"
    elif each.lead is not None:
        lead = each.lead
        behind = f"{lead.value:.3f} ({lead.low:+.3f} to {lead.high:+.3f})"
        behind += "" if lead.excludes_zero else " noise"
    else:
        behind = "fewer steps" if each.step < best.step else "not weighed"
    return (
        str(each.rank), str(each.trial), each.recipe, each.state, f"{each.step:,}",
        with_interval(each.value, each.interval), *map(number, each.headline.values()), behind,
    )  # fmt: skip
