"""Budget: what a study may cost in all, earlier runs included."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainers.errors import UserError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Budget:
    """Limits; None for none. A study ends at the first that it reaches.

    trials: with a final verdict.
    seconds: that drivers had the study open.
    gpu_hours: of all workers; cost: the same times price_per_gpu_hour, in its currency.
    trainings: so many full trainings' gradient steps, however they are spread over trials.
    """

    trials: int | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    cost: float | None = None
    price_per_gpu_hour: float | None = None
    trainings: float | None = None

    def __post_init__(self) -> None:
        for flag, value in (
            ("--time", self.seconds), ("--gpu-hours", self.gpu_hours), ("--cost", self.cost),
            ("--price-per-gpu-hour", self.price_per_gpu_hour), ("--like", self.trainings),
        ):  # fmt: skip
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{flag} must be above 0, not {value:g}")
        if self.cost is not None and self.price_per_gpu_hour is None:
            raise UserError("--cost needs --price-per-gpu-hour")
        if self.price_per_gpu_hour is not None and self.cost is None and self.gpu_hours is None:
            raise UserError("--price-per-gpu-hour needs --cost or --gpu-hours")

    def check_fits(self, gpus_per_trial: float, max_steps: int, first_rung: int) -> None:
        """Raise UserError when it cannot pay for a trial's first rung, or is in GPU hours where no GPU is used."""
        if gpus_per_trial == 0 and (self.gpu_hours is not None or self.cost is not None):
            flag = "--gpu-hours" if self.gpu_hours is not None else "--cost"
            raise UserError(
                f"{flag} is of GPUs, and trials have none; give --gpus-per-trial, or limit --time instead"
            )
        if self.trainings is not None and self.trainings * max_steps < first_rung:
            least = first_rung / max_steps
            raise UserError(
                f"--like {self.trainings:g} cannot pay for one rung of {first_rung} steps; {least:.2g} can"
            )

    @property
    def all_gpu_hours(self) -> float | None:
        """The stricter of gpu_hours and what cost buys."""
        bought = (
            None
            if self.cost is None or self.price_per_gpu_hour is None
            else self.cost / self.price_per_gpu_hour
        )
        limits = [limit for limit in (self.gpu_hours, bought) if limit is not None]
        return min(limits, default=None)


def parse_time(text: str) -> float:
    """Seconds of `45s`, `90m`, `2h`, `1h30m`, `2d`. Raises ValueError for anything else."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)([smhd]))+", text.replace(" ", ""))
    if parts is None:
        raise ValueError(text)
    return sum(float(count) * UNITS[unit] for count, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", text))


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
