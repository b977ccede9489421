"""A download that was cut short is gone on with, if the archive is still the same; a mirror may stand for the zoo."""

import shutil
from pathlib import Path

import pytest
from zoo_server import ARCHIVE, NAME, Zoo, sha256_of

from trainers.errors import UserError
from trainers.object_detection_api import detector as detectors
from trainers.object_detection_api.checkpoints import download, reading, weights, zoo
from trainers.object_detection_api.checkpoints.zoo import Archive, Unavailable, archive_of

PATH = f"/{ARCHIVE}.tar.gz"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses between attempts, and without a mirror of the user's."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.delenv(zoo.MIRROR, raising=False)


def archive(server: Zoo, cache: Path) -> Archive:
    return Archive(detectors.detector(NAME), cache, server.url)


@pytest.fixture
def cut(zoo: Zoo, published: Path, tmp_path: Path) -> Zoo:
    """A server of which 10,000 bytes have arrived."""
    zoo.archive, zoo.cut_at = published, 10_000
    with pytest.raises(Unavailable):
        archive(zoo, tmp_path).fetch()
    zoo.cut_at = None
    zoo.asked.clear()
    return zoo


def test_a_download_that_is_cut_short_keeps_what_has_arrived_and_training_is_from_scratch(
    zoo: Zoo, published: Path, tmp_path: Path
):
    zoo.archive, zoo.cut_at = published, 10_000
    start = weights.resolve("auto", NAME, cache=tmp_path, url=zoo.url)
    assert start.source == "none"
    assert start.message == (
        f"mobilenet trains from scratch: COCO weights are not available ({zoo.url}{PATH}: "
        f"ended after 10000 of {published.stat().st_size} bytes; what has arrived is kept)"
    )
    assert zoo.asked == [PATH] + [f"{PATH} bytes=10000-"] * download.ATTEMPTS
    assert not (tmp_path / ARCHIVE).exists()
    assert (tmp_path / f"{ARCHIVE}.part").stat().st_size == 10_000


def test_the_next_attempt_goes_on_from_there(cut: Zoo, published: Path, tmp_path: Path):
    seen: list[int] = []
    folder = archive(cut, tmp_path).fetch(lambda done, total: seen.append(done))
    assert cut.asked == [f"{PATH} bytes=10000-"]
    assert min(seen) > 10_000
    assert archive(cut, tmp_path).sha256 == sha256_of(published)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        folder.name,
        f"{ARCHIVE}.lock",
        f"{ARCHIVE}.sha256",
    ]


def test_what_is_another_archive_by_then_is_begun_anew(cut: Zoo, published: Path, tmp_path: Path):
    cut.etag = '"second"'
    archive(cut, tmp_path).fetch()
    assert cut.asked == [f"{PATH} bytes=10000-"]
    assert archive(cut, tmp_path).sha256 == sha256_of(published)


def test_a_server_that_gives_no_parts_of_files_gives_the_whole(cut: Zoo, published: Path, tmp_path: Path):
    cut.ranges = False
    archive(cut, tmp_path).fetch()
    assert archive(cut, tmp_path).sha256 == sha256_of(published)


def test_what_arrived_from_elsewhere_is_not_gone_on_with(cut: Zoo, tmp_path: Path):
    other = Archive(detectors.detector(NAME), tmp_path, f"{cut.url}/mirror")
    other.fetch()
    assert cut.asked == [f"/mirror{PATH}"]


def test_a_folder_may_be_the_mirror(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mirror = tmp_path / "usb stick"
    mirror.mkdir()
    shutil.copy(published, mirror / f"{ARCHIVE}.tar.gz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(zoo.MIRROR, str(mirror))
    assert archive_of(NAME).fetch() == tmp_path / "cache" / "detector-tuning" / "zoo" / ARCHIVE
    assert archive_of(NAME).sha256 == sha256_of(published)


def test_a_mirror_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(zoo.MIRROR, "ftp://mirror/zoo")
    with pytest.raises(UserError, match=r"^DETECTOR_ZOO_URL=ftp://mirror/zoo: takes https://, http://, "):
        archive_of(NAME)


def test_an_archive_for_which_there_is_no_room_is_refused(
    zoo: Zoo, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    zoo.archive = published
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    with pytest.raises(Unavailable, match=r"needs [0-9.]+ MB in .* 0 MB are free"):
        archive(zoo, tmp_path).fetch()


def test_fetched_weights_are_verified_to_their_last_value(zoo: Zoo, published: Path, tmp_path: Path):
    zoo.archive = published
    kept = archive(zoo, tmp_path)
    kept.fetch()
    kept.verify()
    data = reading.checkpoint_prefix(kept.folder).with_suffix(".data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(UserError, match=r"ckpt-0: .* is damaged: "):
        kept.verify()
