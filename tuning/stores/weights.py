"""Published weights in a store: the driver uploads those that it has, and each machine fetches them once.

So machines without a network train from the same weights as all others. A machine's workers share what was fetched.

    weights/<name of the folder>.<begin of its archive's SHA-256>.json, weights/<...>/checkpoint/ckpt-0.index, ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from trainers import model as models
from trainers.errors import UserError
from trainers.model import PublishedWeights
from tuning.stores import folders
from tuning.stores.store import Away, Store

WEIGHTS = "weights"


def published(model: str) -> PublishedWeights | None:
    """The published weights of a model on this machine; None if it has none."""
    factory = models.get(model).published_weights
    if factory is None:
        return None
    module, _, function = factory.partition(":")
    found: PublishedWeights = getattr(importlib.import_module(module), function)(model)
    return found


def upload(
    names: Iterable[str], store: Store, say: Callable[[str], None] = lambda line: None
) -> dict[str, str | None]:
    """Upload the weights of these models that are on this machine, unless the store has them. Raises UserError.

    Returns the SHA-256 of the archive, None if unknown, of each model that the store has weights of.
    """
    found = {}
    try:
        for name in names:
            weights = published(name)
            if weights is None or not weights.folder.is_dir():
                continue
            found[name] = sha256 = weights.sha256
            key = _key(weights, sha256)
            if folders.read(store, key) is None:
                say(f"uploading the weights of {name} to {store.uri}/{key}")
                about = {"model": name, "address": weights.address}
                folders.upload(store, key, weights.folder, about, once=True)
    except Away as error:
        raise UserError(f"{error}; run the same command again later") from None
    return found


def fetch(uploaded: Mapping[str, str | None], store: Store) -> None:
    """Fetch the weights that this machine lacks. uploaded: what `upload` returned. Raises UserError, OSError."""
    for name, sha256 in uploaded.items():
        weights = published(name)
        if weights is not None and not weights.folder.is_dir():
            key = _key(weights, sha256)
            weights.take(partial(_obtain, store, key), sha256)


def _obtain(store: Store, key: str, folder: Path) -> None:
    folders.obtain(store, key, folder, "weights")


def _key(weights: PublishedWeights, sha256: str | None) -> str:
    return f"{WEIGHTS}/{weights.folder.name}.{(sha256 or 'unknown')[:12]}"
