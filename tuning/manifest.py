"""Manifest: what a study was begun with. A study goes on only with the same space, data and conditions."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers.datasets.dataset import Dataset
from trainers.errors import UserError
from tuning.halving import Mode

SOFTWARE = (
    "ray",
    "optuna",
    "mlflow",
    "tensorflow",
    "tensorflow-cpu",
    "tf-keras",
    "tf-models-research-object-detection",
)

COMPARED = (
    "preset", "max_steps", "image_size", "batch_size", "weights", "reduction_factor", "scheduler", "brackets",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that decide a result."""
    found = {"python": platform.python_version()}
    for name in SOFTWARE:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Manifest:
    """A study's `study.json`.

    study, space, space_hash: names, and the digest of all that the space may propose.
    data: name, source and fingerprint of the dataset, and its class names in the order of their label ids.
    preset, max_steps, image_size, batch_size, weights: the conditions under which the space proposes; image_size and
        batch_size are None where the space chooses.
    reduction_factor, scheduler, brackets, seed: of the search (tuning.halving.Halving).
    versions: the software it was begun with; shown, never compared.
    """

    study: str
    space: str
    space_hash: str
    data: dict[str, Any]
    preset: str
    max_steps: int
    image_size: int | None
    batch_size: int | None
    weights: str
    reduction_factor: int
    seed: int
    versions: dict[str, str]
    scheduler: Mode = "stop"
    brackets: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)

    def check_goes_on(self, asked: Manifest, where: Path) -> None:
        """Raise UserError, in one line, when the study in `where` cannot go on with what is asked now."""
        another = "give another --study name"
        if asked.space != self.space:
            raise UserError(
                f"{where}: is a study of the space '{self.space}', not '{asked.space}'; {another}"
            )
        if asked.space_hash != self.space_hash:
            raise UserError(f"{where}: the space '{self.space}' has changed since it was begun; {another}")
        if asked.data["fingerprint"] != self.data["fingerprint"]:
            theirs, ours = asked.data["source"], self.data["source"]
            what = f"{ours}, not {theirs}" if theirs != ours else f"an earlier content of {ours}"
            raise UserError(f"{where}: is a study of other data ({what}); {another}")
        for name in COMPARED:
            was, now = getattr(self, name), getattr(asked, name)
            if was != now:
                flag = "--" + name.replace("_", "-")
                begun = f"{flag} {was}" if was is not None else f"no {flag}"
                raise UserError(
                    f"{where}: was begun with {begun}, now it is {now}; use the same, or {another}"
                )


def of_data(dataset: Dataset) -> dict[str, Any]:
    """The manifest's account of `dataset`."""
    return {
        "name": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "images": {"train": dataset.train.images, "validation": dataset.validation.images},
    }


def read(path: Path) -> Manifest:
    """The manifest in `path`. Raises UserError when it is damaged."""
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: is damaged ({' '.join(str(error).split())}); restore it from your backup"
        ) from None
