"""Classes of two data sets are the same by name, or by a synonym."""

import pytest

from trainers.detection.class_names import same

THEIRS = ("person", "bicycle", "car", "traffic light", "bus")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["car", "bus"], {"car": "car", "bus": "bus"}),
        (["Car", "traffic_light"], {"Car": "car", "traffic_light": "traffic light"}),
        (
            ["vehicle", "pedestrian", "cyclist"],
            {"vehicle": "car", "pedestrian": "person", "cyclist": "bicycle"},
        ),
        (["vehicle", "car"], {"car": "car"}),  # one class is given to one only, to the one with its very name
        (["pedestrian", "human"], {"pedestrian": "person"}),
        (["tram"], {}),
        ([], {}),
    ],
)
def test_a_class_is_the_others_class_with_its_name_or_a_synonym(own, expected):
    assert same(own, THEIRS) == expected
