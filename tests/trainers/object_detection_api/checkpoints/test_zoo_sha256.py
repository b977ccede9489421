"""The zoo's archive stays the same: at every later download on a machine, and on every machine of a study."""

import gzip
import shutil
from pathlib import Path

import pytest
from zoo_server import ARCHIVE, NAME, Zoo, sha256_of

from trainers.errors import UserError
from trainers.object_detection_api.checkpoints import weights
from trainers.recipe import InitialWeights


def test_an_archive_of_other_bytes_than_at_first_is_refused(zoo: Zoo, published: Path, tmp_path: Path):
    zoo.archive = published
    cache = tmp_path / "cache"
    weights.resolve("auto", NAME, cache=cache, url=zoo.url)
    shutil.rmtree(cache / ARCHIVE)
    zoo.archive = Path(shutil.copy(published, tmp_path / "other.tar.gz"))
    with gzip.open(zoo.archive, "ab") as file:  # the same checkpoint
        file.write(bytes(512))
    with pytest.raises(
        UserError, match=f"has the SHA-256 {sha256_of(zoo.archive)}, and had {sha256_of(published)}"
    ):
        weights.resolve("auto", NAME, cache=cache, url=zoo.url)
    assert not (cache / ARCHIVE).exists()
    (cache / f"{ARCHIVE}.sha256").unlink()
    assert weights.resolve("auto", NAME, cache=cache, url=zoo.url).sha256 == sha256_of(zoo.archive)


def test_an_archive_other_than_that_of_the_study_is_refused(zoo: Zoo, published: Path, tmp_path: Path):
    zoo.archive = published

    def checkpoint(sha256: str | None) -> Path | None:
        start = InitialWeights(source="zoo")
        return weights.checkpoint_of(start, NAME, sha256=sha256, cache=tmp_path, url=zoo.url)

    assert checkpoint(sha256_of(published)) == checkpoint(None)
    with pytest.raises(UserError, match=f"another archive .* than the study was begun with .{'0' * 64}"):
        checkpoint("0" * 64)
