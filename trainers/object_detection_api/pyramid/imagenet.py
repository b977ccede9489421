"""The backbones' weights of ImageNet training: fetched once into the user's cache, and verified by their digests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import UserError
from trainers.files import user_cache, write_text
from trainers.object_detection_api.checkpoints import weights
from trainers.object_detection_api.checkpoints.download import Incomplete, Progress, discard, download
from trainers.object_detection_api.checkpoints.zoo import SHA256, ZOO_URL, Unavailable, one_process, zoo_url
from trainers.object_detection_api.pyramid.backbones import BACKBONES
from trainers.recipe import InitialWeights

if TYPE_CHECKING:
    from trainers.object_detection_api.pyramid.recipe import PyramidRecipe

CHECKED = "resnet50"  # the backbone whose weights say whether any can be had


@dataclass(frozen=True)
class BackboneFile:
    """The file of a backbone's published weights. cache: the folder that it is fetched into."""

    backbone: str
    cache: Path

    @property
    def address(self) -> str:
        """Where it is fetched from: the publisher, or the folder that DETECTOR_ZOO_URL names."""
        published = BACKBONES[self.backbone].weights
        assert published is not None
        mirror = zoo_url()
        return published.address if mirror == ZOO_URL else f"{mirror}/{published.address.rpartition('/')[2]}"

    @property
    def path(self) -> Path:
        """Where it is on this machine, if it was fetched."""
        return self.cache / self.address.rpartition("/")[2]

    def fetch(self, progress: Progress | None = None) -> Path:
        """Its path; it is downloaded and verified first if it is not there.

        Raises Unavailable if it cannot be had, or is not what was published. Where no digest was published, that of the
        first download is kept, and another file is refused.
        """
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with one_process(self.path.with_name(f"{self.path.name}.lock")):
                if not self.path.is_file():
                    download(self.address, part, progress)
                    try:
                        self._check(part)
                        part.replace(self.path)
                    finally:
                        discard(part)
        except Incomplete as error:
            raise Unavailable(f"{self.address}: {error}; what has arrived is kept") from None
        except (OSError, HTTPException) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
            raise Unavailable(f"{self.address} cannot be downloaded: {reason}") from None
        return self.path

    def _check(self, file: Path) -> None:
        published = BACKBONES[self.backbone].weights
        assert published is not None
        kept = self.path.with_name(self.path.name + SHA256)
        known = published.digest
        if not known and kept.is_file():
            known = f"sha256:{kept.read_text(encoding='utf-8').strip()}"
        kind = known.partition(":")[0] or "sha256"
        with file.open("rb") as content:
            found = f"{kind}:{hashlib.file_digest(content, kind).hexdigest()}"
        if known and found != known:
            raise Unavailable(f"{self.address}: has the digest {found}, not {known}")
        if not known:
            write_text(kept, f"{found.partition(':')[2]}\n")


def default_cache() -> Path:
    """The folder of fetched files: `detector-tuning/backbones` in the user's cache folder."""
    return user_cache("backbones")


def resolve(choice: str, detector: str, *, cache: Path | None = None) -> weights.Start:
    """Resolve `--weights auto|none|PATH` for a family of detectors: the backbones' ImageNet weights, or a checkpoint.

    "auto" fetches those of one backbone, to know whether there is a network; a trial fetches those of its own.
    Raises UserError if PATH is not a checkpoint of a detection model.
    """
    if choice != "auto":
        return weights.resolve(choice, detector)
    try:
        path = BackboneFile(CHECKED, cache or default_cache()).fetch()
    except Unavailable as error:
        line = f"{detector} trains from scratch: ImageNet weights are not available ({error})"
        return weights.Start("none", line)
    line = f"{detector} starts from its backbones' ImageNet weights in {path.parent}"
    return weights.Start("zoo", line, part="classification")


def start_of(recipe: PyramidRecipe, sha256: str | None = None, *, cache: Path | None = None) -> Path | None:
    """The file or the checkpoint prefix that a recipe's trial starts from; None for "none". Downloads it if needed.

    sha256: not used, because the files' digests are published. Raises UserError if it cannot be had.
    """
    source: InitialWeights = recipe.weights
    if source.source != "zoo":
        return weights.checkpoint_of(source, recipe.model)
    try:
        return BackboneFile(recipe.backbone, cache or default_cache()).fetch()
    except Unavailable as error:
        raise UserError(
            f"ImageNet weights of {recipe.backbone} are not available on this machine ({error}); use --weights none"
        ) from None
