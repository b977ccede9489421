"""Of several label maps the one that fits the labels is taken and named; a wrong one is never used in silence."""

import pytest
from labelled_folders import picture, voc_folder
from published_folders import labels

from trainers.datasets import check
from trainers.datasets.label_map import write_label_map
from trainers.datasets.opening import open_dataset
from trainers.datasets.records import tf_example
from trainers.datasets.records.tfrecords import TFRecordWriter
from trainers.errors import UserError

ALWAYS = {
    "image/height": [48], "image/width": [64], "image/format": b"jpeg",
    **{f"image/object/bbox/{edge}": [0.1, 0.2] for edge in ("xmin", "ymin")},
    **{f"image/object/bbox/{edge}": [0.6, 0.7] for edge in ("xmax", "ymax")},
}  # fmt: skip


def records(path, texts=("cat", "dog"), ids=(1, 2), count=10):
    """A file of records, each with an object of each of two classes; no texts or no ids if None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TFRecordWriter(path) as shard:
        for number in range(count):
            name = f"{path.name}-{number}".encode()
            features = {**ALWAYS, "image/filename": name, "image/source_id": name}
            features["image/encoded"] = picture(number + 1000 * len(path.name))
            if texts:
                features["image/object/class/text"] = [text.encode() for text in texts]
            if ids:
                features["image/object/class/label"] = list(ids)
            shard.write(tf_example.encode(features))
    return path.parent


def test_the_map_whose_names_fit_is_taken_wherever_it_is_in_the_alphabet(tmp_path):
    folder = records(tmp_path / "data" / "all.record")
    write_label_map(folder / "a_map.pbtxt", ["person", "car"])
    write_label_map(folder / "label_map.pbtxt", ["cat", "dog", "horse"])
    write_label_map(tmp_path / "aa.pbtxt", ["dog", "cat"])
    (folder / "graph.pbtxt").write_text('node {\n  name: "input"\n  op: "Placeholder"\n}\n')
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert opened.classes == ("cat", "dog", "horse")
    assert opened.notes[0] == f"label map: {folder / 'label_map.pbtxt'}"


def test_a_map_in_the_folder_above_is_used_only_if_it_fits(tmp_path):
    folder = records(tmp_path / "data" / "all.record")
    write_label_map(tmp_path / "other.pbtxt", ["person", "car"])
    assert open_dataset(str(folder), tmp_path / "cache").classes == ("cat", "dog")
    write_label_map(tmp_path / "right.pbtxt", ["cat", "dog", "bird"])
    assert open_dataset(str(folder), tmp_path / "cache").classes == ("cat", "dog", "bird")


@pytest.mark.parametrize("texts", [("cat", "dog"), None])
def test_two_different_maps_that_both_fit_are_refused(tmp_path, texts):
    folder = records(tmp_path / "data" / "all.record", texts)
    write_label_map(folder / "a.pbtxt", ["cat", "dog", "horse"])
    write_label_map(folder / "b.pbtxt", ["cat", "dog", "bird"])
    with pytest.raises(UserError, match=r"the label maps a\.pbtxt and b\.pbtxt both fit") as refused:
        open_dataset(str(folder), tmp_path / "cache")
    assert "\n" not in str(refused.value)
    write_label_map(folder / "b.pbtxt", ["cat", "dog", "horse"])
    assert open_dataset(str(folder), tmp_path / "cache").classes == ("cat", "dog", "horse")


def test_of_several_maps_that_do_not_fit_each_is_named(tmp_path):
    folder = records(tmp_path / "data" / "all.record")
    write_label_map(folder / "a.pbtxt", ["cat"])
    write_label_map(folder / "b.pbtxt", ["dog", "cat"])
    with pytest.raises(UserError, match=r"a\.pbtxt has no label 2; b\.pbtxt has no 'cat' for label 1"):
        open_dataset(str(folder), tmp_path / "cache")


@pytest.mark.parametrize(
    ("texts", "fits"),
    [
        (("cat", "dog"), True),
        (("Cat", " dog "), True),
        (("", ""), True),
        (("1", "2"), True),
        (("/m/01yrx", "/m/0bt9lr"), True),
        (("bus", "tram"), False),
        (("dog", "cat"), False),
        (("cat", "bus"), False),
    ],
)
def test_texts_that_the_only_map_does_not_have_are_no_codes(tmp_path, texts, fits):
    folder = records(tmp_path / "data" / "all.record", texts)
    (folder / "map.pbtxt").write_text(
        "item { id: 1 name: '/m/01yrx' display_name: 'cat' } item { id: 2 name: '/m/0bt9lr' display_name: 'dog' }"
    )
    error = check(folder).error
    assert error is None if fits else "use the label map that belongs to the records" in error


@pytest.mark.parametrize("mapped", [True, False])
def test_records_that_hold_class_texts_only_get_labels_to_train_on(tmp_path, mapped):
    folder = records(tmp_path / "data" / "all.record", ids=None)
    if mapped:
        write_label_map(folder / "map.pbtxt", ["dog", "cat"])
    opened = open_dataset(str(folder), tmp_path / "cache")
    assert labels(opened) == {"cat": 8, "dog": 8}
    assert opened.classes == (("dog", "cat") if mapped else ("cat", "dog"))
    report = check(folder)
    assert (report.affected, report.error) == (0, None)


def test_the_map_of_pascal_voc_is_chosen_by_the_names_of_the_objects(tmp_path):
    source = voc_folder(tmp_path / "pets", 10)
    write_label_map(source / "a.pbtxt", ["person"])
    write_label_map(source / "b.pbtxt", ["dog", "cat"])
    opened = open_dataset(str(source), tmp_path / "cache")
    assert opened.classes == ("dog", "cat")
    assert opened.notes[0] == f"label map: {source / 'b.pbtxt'}"
