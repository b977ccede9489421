"""Budget: the limits of a study, and how much of them is spent, earlier runs included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.errors import UserError
from tuning.study.spent import Price

if TYPE_CHECKING:  # --help shows the limits, and should not wait for Optuna's import
    from tuning.search.limits.meter import Meter
    from tuning.search.limits.pace import Cost

WORTH = 0.001  # of the objective, that a training should gain for its cost: of mean precision, a tenth of a percent
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Budget:
    """Limits of a study, each None for no limit. The search ends at the first that is reached.

    trials: number of trials with a final verdict.
    seconds: wall time for which drivers had the study open.
    gpu_hours: of all workers. cost: of what workers use, by `price` and in its currency.
    trainings: gradient steps of all trials, in full-length trials.
    Raises UserError for values that are not above 0, and for a cost without a price.
    """

    trials: int | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    cost: float | None = None
    price: Price | None = None
    trainings: float | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--time", self.seconds), ("--gpu-hours", self.gpu_hours), ("--cost", self.cost),
            ("--price-per-gpu-hour", self.price.gpu_hour if self.price else None), ("--like", self.trainings),
        ):  # fmt: skip
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{flag} must be above 0, not {value:g}")
        if self.cost is not None and self.price is None:
            raise UserError("--cost needs --price-per-gpu-hour or --prices")
        if self.price is not None and self.cost is None and self.gpu_hours is None:
            raise UserError("--price-per-gpu-hour needs --cost or --gpu-hours")

    def check_fits(self, gpus_per_trial: float, max_steps: int, first_rung: int) -> None:
        """Raise UserError when the budget cannot pay for one trial's first rung, or limits GPU hours without GPUs.

        max_steps: gradient steps of a full trial. first_rung: steps to the first rung.
        """
        if gpus_per_trial == 0 and (self.gpu_hours is not None or self.cost is not None):
            flag = "--gpu-hours" if self.gpu_hours is not None else "--cost"
            raise UserError(
                f"{flag} limits GPU hours, and trials use no GPU; give --gpus-per-trial, or limit --time instead"
            )
        if self.trainings is not None and self.trainings * max_steps < first_rung:
            least = first_rung / max_steps
            raise UserError(
                f"--like {self.trainings:g} is less than one rung of {first_rung} steps; give at least {least:.2g}"
            )

    @property
    def all_gpu_hours(self) -> float | None:
        """The smaller of gpu_hours and of the GPU hours that cost buys; None without a limit."""
        bought = None if self.cost is None or self.price is None else self.cost / self.price.gpu_hour
        limits = [limit for limit in (self.gpu_hours, bought) if limit is not None]
        return min(limits, default=None)


class Spending:
    """What a study has spent of its budget, and whether the rest pays for more.

    meter: measures it. max_steps: gradient steps of a full trial.
    """

    def __init__(self, meter: Meter, budget: Budget, max_steps: int) -> None:
        self.meter = meter
        self._budget = budget
        self._max_steps = max_steps

    @property
    def trainings(self) -> float:
        """Gradient steps of all trials, in full-length trials."""
        return self.meter.steps / self._max_steps

    @property
    def limited(self) -> bool:
        """Whether there is a limit besides the number of trials."""
        budget = self._budget
        return any(
            limit is not None for limit in (budget.seconds, budget.trainings, budget.gpu_hours, budget.cost)
        )

    def limit(self) -> str | None:
        """The flag of the limit that is reached, such as "--time 2 h 00 min"; None while there is budget left."""
        budget, meter = self._budget, self.meter
        if budget.seconds is not None and meter.wall_seconds >= budget.seconds:
            return f"--time {duration(budget.seconds)}"
        if budget.trainings is not None and self.trainings >= budget.trainings:
            return f"--like {budget.trainings:g}"
        if budget.gpu_hours is not None and meter.gpu_hours >= budget.gpu_hours:
            return f"--gpu-hours {budget.gpu_hours:g}"
        if budget.cost is not None and self._cost() >= budget.cost:
            return f"--cost {budget.cost:g}"
        return None

    def seconds_left(self) -> float | None:
        """Wall seconds until the first limit is reached, if the study spends on as it has; None if it cannot be told."""
        budget, meter = self._budget, self.meter
        if not meter.wall_seconds:
            return None
        limits = [
            (meter.wall_seconds, budget.seconds), (self.trainings, budget.trainings),
            (meter.gpu_hours, budget.gpu_hours), (self._cost(), budget.cost),
        ]  # fmt: skip
        left = [
            (limit - spent) / (spent / meter.wall_seconds)
            for spent, limit in limits
            if limit is not None and spent
        ]
        return max(0.0, min(left)) if left else None

    def lacks_time(self, seconds: float) -> str | None:
        """The flag of the time limit if less than `seconds` are left of it."""
        limit = self._budget.seconds
        lacks = limit is not None and self.meter.wall_seconds + seconds > limit
        return f"--time {duration(limit)}" if limit is not None and lacks else None

    def lacks(self, cost: Cost) -> str | None:
        """The flag of the limit of steps or GPU hours that does not pay for `cost`; None if all do."""
        budget, hours = self._budget, self.meter.gpu_hours + cost.seconds * self.meter.gpus / 3600
        steps = self.meter.steps + cost.steps
        if budget.trainings is not None and steps > budget.trainings * self._max_steps + 1e-6:
            return f"--like {budget.trainings:g}"
        if budget.gpu_hours is not None and hours > budget.gpu_hours:
            return f"--gpu-hours {budget.gpu_hours:g}"
        if budget.cost is not None and self._cost(hours) > budget.cost:
            return f"--cost {budget.cost:g}"
        return None

    def line(self) -> str:
        """What is spent of each limit, for the user; "" if only the number of trials is limited."""
        budget, meter, parts = self._budget, self.meter, []
        if budget.seconds is not None:
            parts.append(f"{duration(meter.wall_seconds)} of {duration(budget.seconds)}")
        if budget.trainings is not None:
            parts.append(f"{self.trainings:.1f} of {budget.trainings:g} trainings")
        if budget.gpu_hours is not None:
            parts.append(f"{meter.gpu_hours:.2f} of {budget.gpu_hours:g} GPU hours")
        if budget.cost is not None:
            parts.append(f"cost {self._cost():.2f} of {budget.cost:g}")
        return ", ".join(parts)

    def _cost(self, gpu_hours: float | None = None) -> float:
        """Of what is spent; with another number of GPU hours if one is given."""
        hours = self.meter.gpu_hours if gpu_hours is None else gpu_hours
        return self._budget.price.of(self.meter.total(), hours) if self._budget.price else 0.0


def parse_time(text: str) -> float:
    """Seconds of a duration such as `45s`, `90m`, `2h`, `1h30m` or `2d`. Raises ValueError for any other text."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)([smhd]))+", text.replace(" ", ""))
    if parts is None:
        raise ValueError(text)
    return sum(float(count) * UNITS[unit] for count, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))


def duration(seconds: float) -> str:
    """Seconds for people: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
