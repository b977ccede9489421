"""Noise: which differences between trials the validation images can bear, in the words of a careful engineer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning.reporting.section import counted, listed
from tuning.reporting.statistics.bootstrap import Interval

FAR_TOO_MANY = 100_000  # images that nobody will label to tell two trials apart


def sentences(
    objective: str, best: int, leads: Mapping[int, Interval], images: int, stopped: Sequence[int], tried: int
) -> list[str]:
    """What may be said of the best trial.

    objective: its name. leads: by how much of it it leads each trial of as many steps, as paired intervals, best first.
    images: of the validation part. stopped: trials last measured at an earlier rung. tried: trials in all.
    """
    said = []
    close = [trial for trial, lead in leads.items() if not lead.excludes_zero]
    clear = [trial for trial, lead in leads.items() if lead.excludes_zero and lead.value > 0]
    if close:
        first = leads[close[0]]
        said.append(
            f"Trial {best} is {first.value:.3f} of {objective} ahead of trial {close[0]}, but the 95% interval of the "
            f"difference, {first.low:+.3f} to {first.high:+.3f}, holds 0: inside the noise of "
            f"{counted(images, 'validation image')}." + _needed(first, images)
        )
        if close[1:]:
            said.append(
                f"The same holds for {_trials(close[1:])}: do not choose between these by {objective} alone."
            )
    if clear:
        last = leads[clear[0]]
        said.append(
            f"It is clearly ahead of {_trials(clear)} (of trial {clear[0]} by {last.value:.3f}, "
            f"{last.low:.3f} to {last.high:.3f})."
        )
    if not leads:
        said.append(
            f"No other trial went as far as trial {best} with its results kept: nothing to compare it with."
        )
    if stopped:
        said.append(
            f"{counted(len(stopped), 'trial')} last measured at an earlier rung: their {objective} is that of fewer "
            "steps, and does not say what they would have become."
        )
    if tried > 1:
        said.append(
            f"Chosen as the best of {tried} on these images, its own {objective} is likely a little too good; images "
            "that the search has not seen would tell. Each recipe was trained once: another seed moves it "
            "too, and no interval here knows by how much."
        )
    return said


def _needed(lead: Interval, images: int) -> str:
    """How many images would bear the difference, were it as measured: widths shrink with their square root."""
    if lead.value <= 0:
        return ""
    needed = images * ((lead.high - lead.low) / 2 / lead.value) ** 2
    if needed > FAR_TOO_MANY:
        return " No affordable number of images would tell them apart."
    digits = 10 ** max(0, int(math.log10(needed)) - 1)
    return f" Were it true, about {math.ceil(needed / digits) * digits:,} images would show it."


def _trials(numbers: Sequence[int]) -> str:
    return ("trial " if len(numbers) == 1 else "trials ") + listed(numbers)
