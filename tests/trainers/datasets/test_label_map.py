"""Label maps: written, read as people write them, or refused with their line."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainers.datasets.label_map import read_label_map, write_label_map
from trainers.errors import UserError


@given(
    st.lists(
        st.text(min_size=1, max_size=20).filter(lambda name: name.strip()),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_label_map_comes_back_as_written(tmp_path, names):
    write_label_map(tmp_path / "map.pbtxt", names)
    assert list(read_label_map(tmp_path / "map.pbtxt").values()) == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a label map"),
        ("item { id: 1 }", "needs a name and an id of at least 1"),
        ("item { id: 0 name: 'a' }", "an id of at least 1"),
        ("item { id: 1 name: 'a' }\nitem { id: 1 name: 'b' }", r":2: repeated id 1 or name 'b'"),
        ("item { id: 1 name: 'a' }\nitem { id: 2 name: 'a' }", r":2: repeated id 2 or name 'a'"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_refused_with_its_line(tmp_path, text, why):
    (tmp_path / "map.pbtxt").write_text(text)
    with pytest.raises(UserError, match=why):
        read_label_map(tmp_path / "map.pbtxt")


def test_label_maps_are_read_as_people_write_them(tmp_path):
    (tmp_path / "map.pbtxt").write_text(
        '# classes\nitem {\n  name: "/m/0199g" display_name: "Bicycle \\"old\\""\n  id: 2\n}\n'
        "item: { id: 1, name: 'caf\\303\\251 } #1' }\n"
    )
    assert read_label_map(tmp_path / "map.pbtxt") == {1: "café } #1", 2: "/m/0199g"}
