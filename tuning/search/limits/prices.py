"""Prices: a dated table of what a GPU hour costs, by kind of GPU, on demand and as a spot machine.

    as_of: 2026-11-20
    currency: USD
    market: spot            # at which the machines are rented: on_demand or spot
    gpu_hour:
      A10G: {on_demand: 1.01, spot: 0.45}
      T4: {on_demand: 0.53, spot: 0.20}
    store_gb: {sent: 0.0, received: 0.09}   # of 1e9 bytes that workers move to the object store, and from it

A kind is Ray's word for it (`ray.util.accelerators`), or a part of what nvidia-smi calls it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainers.errors import UserError
from tuning.study.spent import Price

OLD_DAYS = 90
Market = Literal["on_demand", "spot"]


class GpuHour(BaseModel):
    """The price of an hour of one GPU in both markets; None where it is not offered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_demand: float | None = Field(None, gt=0)
    spot: float | None = Field(None, gt=0)


class StoreGb(BaseModel):
    """The price of 1e9 bytes that workers move to the object store, and from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sent: float = Field(0.0, ge=0)
    received: float = Field(0.0, ge=0)


class Prices(BaseModel):
    """The table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: datetime.date
    currency: str
    market: Market
    gpu_hour: dict[str, GpuHour] = Field(min_length=1)
    store_gb: StoreGb = StoreGb()

    def of(self, kinds: Iterable[str]) -> Price:
        """The price on machines with these kinds of GPUs: of the dearest, so that it is never too low.

        kinds: "" for one that is unknown, which may be any of the table. Raises UserError for a kind without a price.
        """
        offered = {
            name: price
            for name, both in self.gpu_hour.items()
            if (price := both.spot if self.market == "spot" else both.on_demand) is not None
        }
        found = []
        for kind in kinds:
            names = [name for name in offered if not kind or name.lower() in kind.lower()]
            if not names:
                market, there = self.market.replace("_", " "), ", ".join(offered) or "none"
                raise UserError(f"--prices: has no {market} price of {kind or 'any GPU'} (it has {there})")
            found.append(max(offered.values()) if not kind else offered[max(names, key=len)])
        return Price(max(found, default=0.0), self.store_gb.sent, self.store_gb.received)

    def line(self, price: Price, today: datetime.date) -> str:
        """What the user is told: the price that counts, and how old it is."""
        age = (today - self.as_of).days
        old = f", {age} days old: look whether it still holds" if age > OLD_DAYS else ""
        moved = ""
        if price.sent_gb or price.received_gb:
            moved = f"; {price.sent_gb:g} a GB to the store, {price.received_gb:g} a GB from it"
        market = self.market.replace("_", " ")
        return f"{price.gpu_hour:g} {self.currency} a GPU hour, {market}{moved}, as of {self.as_of}{old}"


def read(path: Path) -> Prices:
    """The table in a YAML file. Raises UserError, naming the first field that is wrong."""
    try:
        return Prices.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--prices {path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"--prices {path}: is not YAML ({' '.join(str(error).split())[:120]})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"--prices {path}: {where}: {first['msg']}") from None
