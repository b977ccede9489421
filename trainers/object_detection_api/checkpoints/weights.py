"""Initial weights: none, a detector's published COCO checkpoint, or a checkpoint at a path.

An archive other than the one that a study was begun with is refused (Manifest.zoo_sha256). TensorFlow is imported only
to read a checkpoint's index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers import model as models
from trainers.detection.class_names import same
from trainers.errors import UserError
from trainers.object_detection_api.checkpoints.class_names import class_names
from trainers.object_detection_api.checkpoints.download import Progress
from trainers.object_detection_api.checkpoints.reading import (
    check_values,
    checkpoint_prefix,
    extractor_digest,
    variable_shapes,
)
from trainers.object_detection_api.checkpoints.zoo import SHA256, Archive, Unavailable, default_cache, zoo_url
from trainers.object_detection_api.detector import Detector
from trainers.object_detection_api.detector import detector as detector_called
from trainers.recipe import InitialWeights, Recipe

_BOX_HEAD = "_box_predictor/_box_prediction_head/"


@dataclass(frozen=True)
class Start:
    """The initial weights that `--weights` was resolved to.

    source: for InitialWeights.source: "none", "zoo" or an absolute path.
    message: one sentence for the user.
    part: for InitialWeights.part: as much as is in the checkpoint, but the classes.
    classes: names of the checkpoint's classes; empty if they are unknown.
    sha256: of the zoo's archive, in hexadecimal; None for other weights, and for an archive fetched by a version that
        did not record it.
    """

    source: str
    message: str
    sha256: str | None = None
    part: str = "detection"
    classes: tuple[str, ...] = ()

    def says_of_classes(self, own: Sequence[str]) -> str:
        """A line for the user: which of their classes start from a class of the checkpoint, with part "boxes"."""
        if not self.classes:
            return "the names of the weights' classes are unknown: classes are learned from scratch, boxes are not"
        shared = same(own, self.classes)
        if not shared:
            return "the weights know none of the classes: these are learned from scratch, boxes are not"
        pairs = (name if name == other else f"{name} ({other})" for name, other in shared.items())
        return f"classes taken over from the weights by name: {', '.join(pairs)}"


def resolve(
    choice: str,
    detector: str,
    *,
    cache: Path | None = None,
    url: str | None = None,
    progress: Progress | None = None,
) -> Start:
    """Resolve `--weights auto|none|PATH` for a detector. "auto" downloads the zoo's archive if it is not cached.

    cache: folder of fetched archives; None for `default_cache()`. url: of the folder of archives; None for `zoo_url()`.
    Raises UserError if PATH is no checkpoint of a detection model, damaged or of another known detector, or the archive
    is another than at first.
    """
    if choice == "none":
        return Start("none", f"{detector} trains from scratch (--weights none)")
    if choice == "auto":
        archive = Archive(detector_called(detector), cache or default_cache(), url or zoo_url())
        try:
            folder = archive.fetch(progress)
        except Unavailable as error:
            return Start("none", f"{detector} trains from scratch: COCO weights are not available ({error})")
        message = f"{detector} starts from the zoo's COCO weights in {folder}"
        return _start("zoo", message, checkpoint_prefix(folder), archive.sha256)
    path = Path(choice).expanduser().absolute()
    prefix = checkpoint_prefix(path)
    start = _start(str(path), f"{detector} starts from {prefix}", prefix)
    _refuse_another_detectors(prefix, detector_called(detector))
    check_values(prefix)
    return start


def _refuse_another_detectors(prefix: Path, detector: Detector) -> None:
    """Raise UserError if the feature extractor is another known detector's; one that nobody knows may fit or not."""
    found = extractor_digest(variable_shapes(prefix))
    owners = [
        each.name
        for each in models.all_models().values()
        if isinstance(each, Detector) and each.extractor_digest == found
    ]
    if owners and detector.extractor_digest and detector.name not in owners:
        raise UserError(f"{prefix}: has the weights of {owners[0]}, from which {detector.name} cannot start")


def checkpoint_of(
    weights: InitialWeights,
    detector: str,
    *,
    sha256: str | None = None,
    cache: Path | None = None,
    url: str | None = None,
) -> Path | None:
    """The checkpoint prefix of a recipe's `weights` on this machine; None for "none".

    sha256: of the zoo's archive that is wanted; None for any. Downloads it if it is not cached.
    Raises UserError if there is no such checkpoint, or the archive is another one.
    """
    if weights.source == "none":
        return None
    if weights.source == "zoo":
        archive = Archive(detector_called(detector), cache or default_cache(), url or zoo_url())
        try:
            folder = archive.fetch()
        except Unavailable as error:
            raise UserError(
                f"COCO weights of {detector} are not available on this machine ({error}); use --weights none"
            ) from None
        here = archive.sha256
        if sha256 is not None and here is not None and here != sha256:
            raise UserError(
                f"{folder}: is another archive (SHA-256 {here}) than the study was begun with ({sha256}); copy that one "
                f"here, with its {folder.name}{SHA256}"
            )
        return checkpoint_prefix(folder)
    return checkpoint_prefix(Path(weights.source))


def start_of(recipe: Recipe, sha256: str | None) -> Path | None:
    """See Detector.checkpoint."""
    return checkpoint_of(recipe.weights, recipe.model, sha256=sha256)


def _start(source: str, message: str, prefix: Path, sha256: str | None = None) -> Start:
    """Start with the largest part that the checkpoint has. Raises UserError if it has no feature extractor."""
    names = variable_shapes(prefix)
    if not any("feature_extractor" in name for name in names):
        raise UserError(
            f"{prefix}: contains no feature extractor of a detection model; its structure must be that of the zoo's"
        )
    if any(_BOX_HEAD in name for name in names):
        part = "boxes"
    else:
        inside = any(name.startswith("model/_feature_extractor") for name in names)
        part = "detection" if inside else "classification"
    return Start(source, message, sha256, part, tuple(class_names(source, prefix).values()))
