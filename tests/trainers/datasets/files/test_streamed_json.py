"""JSON of any size: what is streamed is what the document says, in memory that does not grow."""

import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainers.datasets.files import streamed_json
from trainers.datasets.files.streamed_json import BadJson, items

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@given(
    st.lists(JSON, max_size=5) | st.dictionaries(st.text(max_size=6), JSON, max_size=5),
    st.sampled_from([None, 1]),
    st.integers(1, 9),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streamed_json_is_what_json_is(tmp_path, monkeypatch, document, indent, chunk):
    monkeypatch.setattr(streamed_json, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), encoding="utf-8")
    found = [(item.key, item.value) for item in items(path)]
    if isinstance(document, list):
        expected = [(None, value) for value in document]
    else:
        expected = [
            (key, value)
            for key, whole in document.items()
            for value in (whole if isinstance(whole, list) else [whole])
        ]
    assert found == expected


@pytest.mark.parametrize(
    "text", ["", "3", "[1, 2", '{"a": [1}', '{"a" 1}', "[1 2]", '["\n"]', "\ufeff", "[" * 100_000, "[1,,2]"]
)
def test_what_is_no_json_is_said_to_be_none(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadJson):
        list(items(tmp_path / "a.json"))


def test_the_line_of_an_item_is_where_it_begins(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [\n\n {"id": 1},\n {"id":\n 2}]\n}')
    assert [item.line for item in items(tmp_path / "a.json")] == [3, 4]


def test_memory_does_not_grow_with_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_json, "_CHUNK", 10_000)
    item = json.dumps({"id": 1, "image_id": 2, "bbox": [1.5, 2.5, 30, 40], "segmentation": [[1.0] * 60]})
    path = tmp_path / "a.json"
    path.write_text('{"annotations": [' + ",\n".join([item] * 4000) + "]}")
    assert path.stat().st_size > 1e6
    tracemalloc.start()
    count = sum(1 for _ in items(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4000
    assert peak < 2e5
