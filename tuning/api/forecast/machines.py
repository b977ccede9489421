"""The machines of a search: with --address the cluster is joined first, and workers are planned from its machines."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Sequence

from tuning.api.settings import MAX, Settings
from tuning.execution import cluster
from tuning.execution.environment import hardware
from tuning.execution.machines import clocks
from tuning.search.limits.prices import read
from tuning.stores.location import store_uri


@contextlib.contextmanager
def planned(settings: Settings, say: Callable[[str], None]) -> Iterator[Settings]:
    """Within the block, the cluster of `settings.address` is joined; yields the settings with its workers.

    Without an address, yields the settings as they are: this machine's. say: is called with each line for the user.
    Raises UserError when the cluster cannot be joined, or has no room for a single worker, and for a clock that is
    too far apart.
    """
    if settings.address is None:
        yield _priced(settings, hardware()["gpu"].split(", "), say)
        return
    follow = settings.workers == MAX
    with cluster.joined(settings.address) as nodes:
        found = cluster.plan(
            nodes,
            settings.workers if isinstance(settings.workers, int) else None,
            settings.cpus_per_trial,
            settings.gpus_per_trial,
            settings.budget.trials,
            settings.worker_bytes,
            settings.autoscale,
        )
        gpus = f" and {found.gpus:g} GPUs" if found.gpus else ""
        say(f"cluster  {len(nodes)} machines ({'; '.join(map(str, nodes))})")
        more = "; more when machines join" if follow else ""
        say(f"workers  {found.count}, each with {found.cpus:g} CPUs{gpus}{more}")
        for line in clocks.check(clocks.ahead_by_machine(), store_uri(settings.studies_dir) is not None):
            say(f"         {line}")
        if lacking := cluster.waiting(nodes, found):
            say(f"         {lacking}; the search goes on with what is there")
        settings = _priced(settings, [node.kind for node in nodes if node.gpus], say)
        yield dataclasses.replace(
            settings, workers=found.count, cpus_per_trial=found.cpus, gpus_per_trial=found.gpus, follow=follow
        )


def _priced(settings: Settings, kinds: Sequence[str], say: Callable[[str], None]) -> Settings:
    """With the price on the dearest of these kinds of GPUs, where --prices are given. Raises UserError."""
    if settings.prices is None:
        return settings
    prices = read(settings.prices)
    price = prices.of(kinds or [""])  # an autoscaler's machines are still to come
    say(f"price    {prices.line(price, datetime.date.today())}")
    return dataclasses.replace(settings, priced=price)
