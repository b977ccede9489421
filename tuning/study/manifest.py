"""Manifest: what a study was begun with. A study is resumed only with the same space, data and conditions."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search_spaces.conditions import Conditions, Preset
from trainers import task as tasks
from trainers.datasets.dataset import Dataset
from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError
from trainers.objective import Objective
from trainers.recipe import InitialWeights, Precision

SOFTWARE = (
    "ray",
    "optuna",
    "mlflow",
    "tensorflow",
    "tensorflow-cpu",
    "tf-keras",
    "tf-models-research-object-detection",
)

NAME = "study.json"
# validation images at all rungs but the last: evaluating thousands can take longer than training to the first rung
EARLY_IMAGES = 500
READ_AS = ("format", "group_by")  # flags in Manifest.data that say how the data are read
COMPARED = (
    "task", "objective", "preset", "max_steps", "image_size", "batch_size", "weights", "precision", "reduction_factor",
    "sampler", "scheduler", "brackets", "early_images", "storage", "limit", "also",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages of SOFTWARE, by name."""
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

    study, space: names. space_hash: digest of everything that the space can propose.
    data: name, source and fingerprint of the dataset, the share of its training images that is used, its class names
        in the order of their label ids, and READ_AS, if given.
    preset, max_steps, image_size, batch_size, weights, precision: the conditions of all trials; image_size and
        batch_size are None where the space chooses them.
    sampler: its name (tuning.search.sampler). scheduler, reduction_factor, brackets: tuning.search.scheduler.
    seed: of the search and of every trial.
    early_images: number of validation images at the rungs before the last; all of them if there are fewer.
    versions: the software it was begun with; shown, never compared.
    task, objective: the name of the task (trainers.task), and the metric or weighted sum to optimise.
    space_rows: the space as a table (search_spaces.rows.Row.to_dict). space_since: number of the first trial proposed
        by this space, after a change of the space.
    weights_part: which part of their initial weights trials start from (trainers.recipe.InitialWeights.part).
    only: the choices that --only left of the space (search_spaces.parts.restriction.Only).
    zoo_sha256: of the zoo's archives that trials start from, by model; those that are known.
    storage: address of the PostgreSQL database that holds the trials, without a password; "" for the journal.
    limit: what the networks may cost when they are served (tuning.search.constraints.limit.Limit.text), or "".
    also: names of the further objectives (trainers.objective.Objective.also), or "".
    id: a UUID, which the study keeps when its folder is moved; "" before the study is made.
    """

    study: str
    space: str
    space_hash: str
    data: dict[str, Any]
    preset: Preset
    max_steps: int
    image_size: int | None
    batch_size: int | None
    weights: str
    reduction_factor: int
    seed: int
    versions: dict[str, str]
    precision: Precision = "float32"
    scheduler: str = "stop"
    brackets: int = 1
    early_images: int = EARLY_IMAGES
    space_rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    space_since: int = 0
    task: str = "detection"  # the default serves studies of the first versions, which have no such field
    objective: str = ""
    sampler: str = "tpe"
    zoo_sha256: dict[str, str] = dataclasses.field(default_factory=dict)
    weights_part: str = "detection"
    storage: str = ""
    only: list[Any] = dataclasses.field(default_factory=list)
    limit: str = ""
    also: str = ""
    id: str = ""

    def resolved_objective(self) -> Objective:
        """The study's objective. Raises UserError when its task no longer offers it."""
        objective = tasks.get(self.task).objective(self.objective, self.data["classes"])
        return dataclasses.replace(objective, also=tuple(self.also.split()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)

    def conditions(self) -> Conditions:
        """The conditions that all trials share."""
        return Conditions(
            steps=self.max_steps,
            preset=self.preset,
            image_size=self.image_size,
            batch_size=self.batch_size,
            weights=InitialWeights(source=self.weights, part=self.weights_part),
            precision=self.precision,
            seed=self.seed,
            only=tuple((name, tuple(choices)) for name, choices in self.only),
        )

    def for_warm_start(self) -> dict[str, Any]:
        """The fields that `--warm-start` of another study needs."""
        return {name: getattr(self, name) for name in ("study", "space", *COMPARED)} | {
            "classes": self.data["classes"],
            "fingerprint": self.data["fingerprint"],
        }

    def resumed_with(
        self, asked: Manifest, where: Path, trials: int, accept_space_change: bool = False
    ) -> Manifest:
        """The manifest with which the study in `where` resumes when the user asks for `asked`.

        trials: number of trials in the study. More max_steps are allowed, and a changed space if `accept_space_change`.
        Raises UserError for any other difference.
        """
        another = "give another --study name"
        if asked.space != self.space:
            raise UserError(
                f"{where}: is a study of the space '{self.space}', not '{asked.space}'; {another}"
            )
        if asked.data["fingerprint"] != self.data["fingerprint"]:
            raise UserError(f"{where}: is a study of other data ({self._data_difference(asked)}); {another}")
        for name in COMPARED:
            was, now = getattr(self, name), getattr(asked, name)
            if was != now and not (name == "max_steps" and now > was):
                flag = "--and" if name == "also" else "--" + name.replace("_", "-")
                begun = f"{flag} {was}" if was not in (None, "") else f"no {flag}"
                raise UserError(
                    f"{where}: was begun with {begun}, now it is {now}; use the same, or {another}"
                )
        for model, was in self.zoo_sha256.items():
            if (now := asked.zoo_sha256.get(model, was)) != was:
                raise UserError(
                    f"{where}: was begun with another archive of {model}'s COCO weights (SHA-256 {was}) than is on this "
                    f"machine ({now}); copy that one into its cache, or {another}"
                )
        kept = dataclasses.replace(
            self, max_steps=asked.max_steps, zoo_sha256={**asked.zoo_sha256, **self.zoo_sha256}
        )
        if asked.space_hash == self.space_hash:
            return kept
        if not accept_space_change:
            changed = "; ".join(self.space_difference(asked))
            raise UserError(
                f"{where}: the space '{self.space}' has changed since it was begun ({changed}); "
                f"--accept-space-change keeps the trials that still fit, or {another}"
            )
        return dataclasses.replace(
            kept,
            space_hash=asked.space_hash,
            only=asked.only,
            space_rows=asked.space_rows,
            space_since=trials,
        )

    def _data_difference(self, asked: Manifest) -> str:
        ours, theirs = self.data, asked.data
        if ours["source"] != theirs["source"]:
            return f"{ours['source']}, not {theirs['source']}"
        shares = ours.get("subset", 1.0), theirs.get("subset", 1.0)
        if shares[0] != shares[1]:
            return f"{shares[0] * 100:g}% of {ours['source']}, not {shares[1] * 100:g}% of it"
        for name in READ_AS:
            flag = "--" + name.replace("_", "-")
            was, now = (f"{flag} {each[name]}" if each.get(name) else f"no {flag}" for each in (ours, theirs))
            if was != now:
                return f"read with {was}, not with {now}"
        return f"an earlier content of {ours['source']}"

    def space_difference(self, other: Manifest) -> list[str]:
        """The changes from this space to the other's, a line for each parameter: added (+), removed (-), changed (~)."""
        from search_spaces.rows import (
            difference,
            from_dict,
        )  # imports Optuna, which --help should not wait for

        return difference(
            [from_dict(row) for row in self.space_rows], [from_dict(row) for row in other.space_rows]
        )


def of_data(
    dataset: Dataset,
    given: str | None = None,
    subset: float = 1.0,
    format: str | None = None,
    group_by: str | None = None,
) -> dict[str, Any]:
    """Manifest.data of a dataset.

    given: the value of `--data`; a path is made absolute. subset: the fraction of the training images in `dataset`.
    format, group_by: the values of these flags; kept only if given.
    """
    is_path = given is not None and "://" not in given and not is_toy_city(given)
    return {
        "name": dataset.name,
        "source": dataset.source,
        "given": str(Path(given or "").absolute()) if is_path else given,
        "fingerprint": dataset.fingerprint,
        "subset": subset,
        "classes": list(dataset.classes),
        "images": {"train": dataset.train.images, "validation": dataset.validation.images},
        **{name: value for name, value in zip(READ_AS, (format, group_by), strict=True) if value is not None},
    }


def read(path: Path) -> Manifest:
    """Read a `study.json`. Raises UserError when it is damaged."""
    try:
        known = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        if known.objective:
            return known
        return dataclasses.replace(known, objective=tasks.get(known.task).default_objective)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: is damaged ({' '.join(str(error).split())}); restore it from your backup"
        ) from None
