"""Which differences between trials are significant, given the validation images: the sentences of the ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tuning.reporting.section import counted, listed
from tuning.reporting.statistics.bootstrap import Interval

FAR_TOO_MANY = 100_000  # more images than anyone would label to tell two trials apart


def sentences(
    objective: str,
    best: int,
    leads: Mapping[int, Interval],
    images: int,
    stopped: Sequence[int],
    among: int,
    corrected: float | None = None,
) -> list[str]:
    """How the best trial compares with the others.

    objective: its name. best: the number of the best trial. leads: trial number -> paired simultaneous interval by which
    the best is ahead of it, best first; only trials with as many steps. images: number of validation images.
    stopped: trials last measured at an earlier rung. among: number of trials with as many steps as the best, itself
    included. corrected: the best trial's objective, corrected for its having been chosen by it.
    """
    text = []
    close = [trial for trial, lead in leads.items() if not lead.excludes_zero]
    clear = [trial for trial, lead in leads.items() if lead.excludes_zero and lead.value > 0]
    if close:
        first = leads[close[0]]
        text.append(
            f"Trial {best} leads trial {close[0]} by {first.value:.3f} {objective}, but the 95% confidence interval of "
            f"the difference, {first.low:+.3f} to {first.high:+.3f}, contains 0: not significant on "
            f"{counted(images, 'validation image')}." + _images_needed(first, images)
        )
        if close[1:]:
            text.append(
                f"The same holds for {_trials(close[1:])}: do not choose between these by {objective} alone."
            )
    if clear:
        last = leads[clear[0]]
        text.append(
            f"It is significantly better than {_trials(clear)} (trial {clear[0]}: by {last.value:.3f}, "
            f"{last.low:.3f} to {last.high:.3f})."
        )
    if not leads:
        text.append(
            f"No other trial has as many steps as trial {best} and stored results: there is nothing to compare it with."
        )
    if stopped:
        text.append(
            f"{counted(len(stopped), 'trial')} last measured at an earlier rung: their {objective} is after fewer "
            "steps, and does not predict what they would have reached."
        )
    if among > 1:
        text.append(
            f"Trial {best} was selected as the best of {among} trials on these images, which flatters it"
            + (
                f": corrected for that, its {objective} is {corrected:.3f}. "
                if corrected is not None
                else ". "
            )
            + (
                f"The intervals of differences allow for it: they hold at once for all pairs of the {among}. "
                if among > 2
                else ""
            )
            + "Each recipe was trained once: the result also varies with the seed, which these intervals do not include."
        )
    return text


def _images_needed(lead: Interval, images: int) -> str:
    """How many images would make the measured difference significant: widths fall with the square root of the number."""
    if lead.value <= 0:
        return ""
    needed = images * ((lead.high - lead.low) / 2 / lead.value) ** 2
    if needed > FAR_TOO_MANY:
        return " No affordable number of images would tell them apart."
    digits = 10 ** max(0, int(math.log10(needed)) - 1)
    return f" If it is real, about {math.ceil(needed / digits) * digits:,} images would be enough to show it."


def _trials(numbers: Sequence[int]) -> str:
    return ("trial " if len(numbers) == 1 else "trials ") + listed(numbers)
