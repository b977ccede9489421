"""The TFRecord container and tf.train.Example: what is written comes back, and damage is found."""

import os

import pytest

from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import (
    CorruptRecord,
    RecordLocation,
    TFRecordWriter,
    read_record,
    record_locations,
)


def written(path, *records: bytes):
    with TFRecordWriter(path) as shard:
        for record in records:
            shard.write(record)
    return path


def read(path) -> list[bytes]:
    with path.open("rb") as file:
        return [
            read_record(file, place) for place in record_locations(path) if isinstance(place, RecordLocation)
        ]


def test_records_come_back_as_written(tmp_path):
    records = [b"", b"a", os.urandom(5000)]
    assert read(written(tmp_path / "shard", *records)) == records


def test_a_flipped_bit_is_found_and_the_records_after_it_are_still_read(tmp_path):
    path = written(tmp_path / "shard", b"first", b"second", b"third")
    data = bytearray(path.read_bytes())
    data[data.index(b"second") + 2] ^= 1
    path.write_bytes(data)
    first, second, third = record_locations(path)
    with path.open("rb") as file:
        assert read_record(file, first) == b"first"
        with pytest.raises(CorruptRecord, match="wrong checksum"):
            read_record(file, second)
        assert read_record(file, third) == b"third"


@pytest.mark.parametrize("kept", [3, 14, 20, 24])
def test_a_file_cut_anywhere_ends_with_a_corrupt_record(tmp_path, kept):
    path = written(tmp_path / "shard", b"first record", b"second record")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + kept])
    found = list(record_locations(path))
    assert isinstance(found[0], RecordLocation)
    assert isinstance(found[-1], CorruptRecord)


def test_a_file_that_is_no_tfrecord_is_called_so(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are notes on something else.")
    (found,) = record_locations(path)
    assert "not a TFRecord" in str(found)


FEATURES = {
    "name": b"x",
    "ids": [1, -2, 2**40],
    "boxes": [0.5, 0.25],
    "texts": ["ü".encode(), b""],
    "none": [],
}


def test_an_example_comes_back_as_encoded():
    assert tf_example.decode(tf_example.encode(FEATURES)) == {**FEATURES, "name": [b"x"]}


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"no message"])
def test_what_is_no_example_is_said_to_be_none(data):
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        tf_example.decode(data)


@pytest.mark.slow
def test_tensorflow_reads_what_is_written_here_and_the_reverse(tmp_path):
    import tensorflow as tf

    ours = tf_example.encode(FEATURES)
    path = written(tmp_path / "ours", ours, b"", os.urandom(3000))
    (first, *rest) = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert [first, *rest] == read(path)
    parsed = tf.train.Example.FromString(first).features.feature
    assert list(parsed["ids"].int64_list.value) == FEATURES["ids"]
    assert list(parsed["texts"].bytes_list.value) == FEATURES["texts"]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(ours)
        writer.write(b"second")
    assert read(tmp_path / "theirs") == [ours, b"second"]
