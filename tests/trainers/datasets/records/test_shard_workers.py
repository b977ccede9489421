"""Shards written by several processes: the same as by one, and a dead process is reported."""

import os
import time

import psutil
import pytest
from labelled_folders import features, voc_folder

from trainers.datasets.opening import open_dataset
from trainers.datasets.records import parallel_conversion, shard_workers
from trainers.datasets.records.shard_workers import FEWEST_IMAGES, ShardWorkers
from trainers.datasets.records.shard_writing import ShardJob


def contents(dataset) -> list[tuple]:
    """Every box of a dataset, with the image it is on, in a fixed order."""
    return sorted(
        (
            part,
            one["image/key/sha256"][0],
            *zip(
                one["image/object/class/text"],
                *(one[f"image/object/bbox/{edge}"] for edge in ("ymin", "xmin", "ymax", "xmax")),
                strict=True,
            ),
        )
        for part, its in dataset.parts.items()
        for one in features(*its.files)
    )


def test_what_several_processes_convert_is_what_one_does(tmp_path, monkeypatch):
    source = str(voc_folder(tmp_path / "pets", 40))
    alone = open_dataset(source, tmp_path / "one")
    monkeypatch.setattr(parallel_conversion, "IMAGES_PER_SHARD", 8)
    monkeypatch.setattr(shard_workers, "FEWEST_IMAGES", 40)
    together = open_dataset(source, tmp_path / "several")
    assert (len(alone.train.files), len(together.train.files)) == (1, 4)
    assert contents(together) == contents(alone)
    assert together.fingerprint == alone.fingerprint


def test_a_process_that_dies_over_its_shard_is_not_waited_for(tmp_path):
    lost = [
        ShardJob(str(tmp_path / "no" / "catalogue"), ("cat",), "train", number, None) for number in range(4)
    ]
    with ShardWorkers() as workers, pytest.raises(RuntimeError, match="died with exit code 1"):
        list(workers.done(lost, FEWEST_IMAGES))


def test_no_process_is_left():
    def left() -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE and _group(process.pid) == group
        ]

    with ShardWorkers() as workers:
        workers.start()
        group = workers._first.pid
        assert workers._workers[-1].hashes([]) == []  # it is the last one to start
        assert len(left()) == 1 + len(workers._workers)
    until = time.monotonic() + 60
    while left() and time.monotonic() < until:
        time.sleep(0.01)
    assert not left()


def _group(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None
