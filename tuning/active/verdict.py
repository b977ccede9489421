"""The verdict on each strategy, in one sentence: better than the control, worse, or not shown to differ."""

from __future__ import annotations

from tuning.active.curves import Curves, Needed, lead, needed
from tuning.reporting.section import counted


def verdict(curves: Curves, name: str, control: str, metric: str) -> str:
    """What the curves show of the strategy `name`, for the user."""
    ahead, last = lead(curves, name, control), needed(curves, name, control, len(curves.labels) - 1)
    over = counted(curves.seeds, "seed")
    if ahead is None:
        return (
            f"Nothing is shown of {name}: one seed gives no interval. It {saved(last, control, metric)}; run with more "
            "--seeds."
        )
    figures = (
        f"the mean {metric} along the curve differs by {ahead.value:+.3f} (95%: {ahead.low:+.3f} to {ahead.high:+.3f}) "
        f"over {over}"
    )
    if ahead.low > 0:
        return f"{name} is better than {control}: it {saved(last, control, metric)}; {figures}."
    if ahead.high < 0:
        return f"{name} is worse than {control}: it {saved(last, control, metric)}; {figures}."
    return f"No gain of {name} over {control} is shown: {figures}; it {saved(last, control, metric)}."


def saved(found: Needed, control: str, metric: str) -> str:
    """`reaches random's mAP50 of 0.412 (600 labels) with 430 labels, 72% (95%: 60% to 95%)`."""
    goal = f"{control}'s {metric} of {found.level:.3f} ({found.control} labels)"
    if found.labels is None:
        return f"does not reach {goal}" + (f"; 95%: {shares(found)}" if found.fewest is not None else "")
    share = f"{found.labels / found.control:.0%}"
    return f"reaches {goal} with {found.labels:.0f} labels, {share}" + (
        f" (95%: {shares(found)})" if found.fewest is not None else ""
    )


def shares(found: Needed) -> str:
    """The interval of the labels needed, as shares of the control's."""
    assert found.fewest is not None
    most = "more than all" if found.most is None else f"{found.most / found.control:.0%}"
    return f"{found.fewest / found.control:.0%} to {most}"
