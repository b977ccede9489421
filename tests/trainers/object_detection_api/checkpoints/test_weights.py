import os
import socket
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from zoo_server import ARCHIVE, NAME, Zoo, sha256_of, write_archive, write_checkpoint
from zoo_variables import published_variables

from trainers import model as models
from trainers.errors import UserError
from trainers.object_detection_api import detector as detectors
from trainers.object_detection_api.checkpoints import reading, weights
from trainers.object_detection_api.checkpoints.class_names import COCO
from trainers.object_detection_api.checkpoints.zoo import ZOO_URL, Archive
from trainers.recipe import InitialWeights

DETECTORS = [
    each for each in models.all_models().values() if isinstance(each, detectors.Detector) and each.zoo_archive
]


def nothing_is_left(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == [f"{ARCHIVE}.lock"]


def test_auto_fetches_the_published_archive_once_and_keeps_its_checkpoint(
    zoo: Zoo, published: Path, tmp_path: Path
):
    zoo.archive = published
    seen: list[tuple[int, int | None]] = []
    start = weights.resolve(
        "auto", NAME, cache=tmp_path, url=zoo.url, progress=lambda done, total: seen.append((done, total))
    )
    said = f"mobilenet starts from the zoo's COCO weights in {tmp_path / ARCHIVE}"
    assert start == weights.Start("zoo", said, sha256_of(published), "boxes", tuple(COCO.values()))
    size = published.stat().st_size
    assert seen[-1] == (size, size)
    kept = sorted(str(path.relative_to(tmp_path / ARCHIVE)) for path in (tmp_path / ARCHIVE).rglob("*.*"))
    assert kept == ["checkpoint/ckpt-0.data-00000-of-00001", "checkpoint/ckpt-0.index", "pipeline.config"]

    again = weights.resolve("auto", NAME, cache=tmp_path, url="http://127.0.0.1:9")
    assert again == start
    assert zoo.asked == [f"/{ARCHIVE}.tar.gz"]
    prefix = weights.checkpoint_of(
        InitialWeights(source="zoo"), NAME, cache=tmp_path, url="http://127.0.0.1:9"
    )
    assert prefix == tmp_path / ARCHIVE / "checkpoint" / "ckpt-0"
    assert reading.variable_shapes(prefix) == published_variables(NAME)


def test_what_a_killed_fetch_left_behind_is_removed_by_the_next(zoo: Zoo, published: Path, tmp_path: Path):
    zoo.archive = published
    (tmp_path / f".{ARCHIVE}.k1ll3d").mkdir()
    (tmp_path / f".{ARCHIVE}.k1ll3d" / "archive").write_bytes(b"half of it")
    assert weights.resolve("auto", NAME, cache=tmp_path, url=zoo.url).source == "zoo"
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [ARCHIVE, f"{ARCHIVE}.lock", f"{ARCHIVE}.sha256"]


def test_of_those_that_fetch_at_once_only_one_downloads(zoo: Zoo, published: Path, tmp_path: Path):
    # the lock is on an open file, so that threads stand for processes
    zoo.archive = published
    detector = detectors.detector(NAME)
    with ThreadPoolExecutor(3) as pool:
        fetches = [pool.submit(Archive(detector, tmp_path, zoo.url).fetch) for _ in range(3)]
    assert [fetch.result() for fetch in fetches] == [tmp_path / ARCHIVE] * 3
    assert len(zoo.asked) == 1


def without_the_box_head(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    return {name: shape for name, shape in shapes.items() if "_box_prediction_head" not in name}


def with_a_longer_bias(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    name = next(name for name in shapes if name.endswith("/bias"))
    return shapes | {name: [shapes[name][0] + 1]}


@pytest.mark.parametrize("damage", [without_the_box_head, with_a_longer_bias])
def test_an_archive_with_other_variables_is_refused(zoo: Zoo, tmp_path: Path, damage: Any):
    zoo.archive = write_archive(tmp_path / "other.tar.gz", damage(published_variables(NAME)))
    folder = tmp_path / "cache"
    start = weights.resolve("auto", NAME, cache=folder, url=zoo.url)
    assert start.source == "none"
    assert "does not have the 385 variables that the zoo publishes for mobilenet" in start.message
    assert nothing_is_left(folder)


def test_an_archive_that_would_write_elsewhere_is_refused(zoo: Zoo, tmp_path: Path):
    zoo.archive = write_archive(
        tmp_path / "bad.tar.gz", {"save_counter": []}, f"{ARCHIVE}/checkpoint/../../../out"
    )
    start = weights.resolve("auto", NAME, cache=tmp_path / "cache", url=zoo.url)
    assert start.source == "none"
    assert "cannot be unpacked" in start.message
    assert not (tmp_path / "out").exists()
    assert nothing_is_left(tmp_path / "cache")


def test_an_archive_with_a_link_in_place_of_a_file_is_refused(zoo: Zoo, tmp_path: Path):
    link = tmp_path / "pipeline.config"
    link.symlink_to("/etc/passwd")
    zoo.archive = tmp_path / "link.tar.gz"
    with tarfile.open(zoo.archive, "w:gz") as tar:
        tar.add(link, arcname=f"{ARCHIVE}/pipeline.config")
    start = weights.resolve("auto", NAME, cache=tmp_path / "cache", url=zoo.url)
    assert "pipeline.config is not a plain file" in start.message
    assert nothing_is_left(tmp_path / "cache")


def test_a_page_in_place_of_the_archive_is_refused(zoo: Zoo, tmp_path: Path):
    zoo.archive = tmp_path / "page.html"
    zoo.archive.write_text("<html>Please log in to this hotel's network</html>")
    start = weights.resolve("auto", NAME, cache=tmp_path / "cache", url=zoo.url)
    assert start.source == "none"
    assert "cannot be unpacked" in start.message


def test_an_archive_that_is_not_there_is_said(zoo: Zoo, tmp_path: Path):
    start = weights.resolve("auto", NAME, cache=tmp_path, url=zoo.url)
    assert start == weights.Start(
        "none",
        "mobilenet trains from scratch: COCO weights are not available "
        f"({zoo.url}/{ARCHIVE}.tar.gz cannot be downloaded: Not Found)",
    )


@cache
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_without_a_network_training_is_from_scratch_and_says_why(tmp_path: Path):
    start = weights.resolve("auto", NAME, cache=tmp_path, url=f"http://127.0.0.1:{closed_port()}")
    assert start.source == "none"
    assert start.message.startswith(
        "mobilenet trains from scratch: COCO weights are not available (http://127.0.0.1:"
    )
    assert "Connection refused" in start.message
    assert "\n" not in start.message


def test_a_recipe_that_starts_from_the_zoo_is_refused_where_it_cannot_be_had(tmp_path: Path):
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(
        UserError, match=r"COCO weights of mobilenet are not available .*; use --weights none"
    ):
        weights.checkpoint_of(InitialWeights(source="zoo"), NAME, cache=tmp_path, url=url)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    start = weights.resolve("auto", NAME, cache=tmp_path / "file" / "cache")
    assert start.source == "none"
    assert "Not a directory" in start.message


def test_the_published_archives_come_over_https():
    assert ZOO_URL.startswith("https://")


def test_none_is_from_scratch():
    assert weights.resolve("none", NAME).source == "none"
    assert weights.checkpoint_of(InitialWeights(), NAME) is None


@pytest.mark.parametrize("given", ["", "checkpoint", "checkpoint/ckpt-0"])
def test_a_path_may_be_an_archives_folder_a_checkpoints_folder_or_a_prefix(tmp_path: Path, given: str):
    write_checkpoint(tmp_path / "checkpoint" / "ckpt-0", {"model/_feature_extractor/kernel": [3, 3]})
    start = weights.resolve(str(tmp_path / given), NAME)
    assert start.source == str(tmp_path / given)
    prefix = weights.checkpoint_of(InitialWeights(source=start.source), NAME)
    assert prefix == tmp_path / "checkpoint" / "ckpt-0"


def test_of_several_checkpoints_in_a_folder_the_newest_is_taken(tmp_path: Path):
    for number, age in ((2, 300), (10, 100), (1, 200)):
        index = tmp_path / f"ckpt-{number}.index"
        index.write_bytes(b"")
        os.utime(index, (10_000 - age, 10_000 - age))
    assert reading.checkpoint_prefix(tmp_path).name == "ckpt-10"


def test_a_path_without_a_checkpoint_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"no TensorFlow checkpoint \(\.index file\) found"):
        weights.resolve(str(tmp_path), NAME)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "ckpt-0.index").write_bytes(b"not an index")
    with pytest.raises(UserError, match="ckpt-0: cannot be read as a checkpoint: ") as refused:
        weights.resolve(str(tmp_path), NAME)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path):
    write_checkpoint(tmp_path / "model" / "ckpt-0", {"layer/kernel": [2, 2]})
    with pytest.raises(UserError, match="contains no feature extractor"):
        weights.resolve(str(tmp_path / "model"), NAME)


@pytest.mark.parametrize("other", ["retinanet", "efficientdet", "faster_rcnn_50"])
def test_a_checkpoint_of_another_detector_is_refused(tmp_path: Path, other: str):
    write_checkpoint(tmp_path / "theirs" / "ckpt-0", published_variables(NAME))
    with pytest.raises(UserError, match=f"has the weights of {NAME}, from which {other} cannot start"):
        weights.resolve(str(tmp_path / "theirs"), other)


def test_a_checkpoint_that_was_cut_off_is_refused_before_anything_begins(tmp_path: Path):
    write_checkpoint(tmp_path / "cut" / "ckpt-0", published_variables(NAME))
    (data,) = (tmp_path / "cut").glob("*.data*")
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(UserError, match=r"ckpt-0: .* is damaged") as refused:
        weights.resolve(str(tmp_path / "cut"), NAME)
    assert "\n" not in str(refused.value)


def test_a_detectors_own_weights_are_known_whatever_their_classes_and_with_an_optimizers_state():
    for each in DETECTORS:
        shapes = published_variables(each.name)
        slots = {f"{name}{reading.OPTIMIZER_SLOT}optimizer/m": shape for name, shape in shapes.items()}
        assert reading.extractor_digest(shapes | slots) == each.extractor_digest
    assert len({each.extractor_digest for each in DETECTORS}) == len(DETECTORS)


@pytest.mark.parametrize(("folder", "damage", "known"), [
    (ARCHIVE, dict, COCO), ("mine", dict, {}), (ARCHIVE, without_the_box_head, {}),
])  # fmt: skip
def test_an_archive_that_was_unpacked_elsewhere_knows_cocos_classes_if_it_is_the_published(
    folder: str, damage: Any, known: dict[int, str], tmp_path: Path
):
    write_checkpoint(tmp_path / folder / "checkpoint" / "ckpt-0", damage(published_variables(NAME)))
    start = weights.resolve(str(tmp_path / folder), NAME)
    assert start.classes == tuple(known.values())
