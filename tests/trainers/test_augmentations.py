import pickle
from collections.abc import Mapping

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainers.augmentations import Augmentation
from trainers.augmentations.table import AUGMENTATIONS, Option
from trainers.object_detection_api import compat

# the least that an augmentation with required options takes
REQUIRED = {
    "normalize_image": {"original_minval": 0, "original_maxval": 255},
    "random_resize_method": {"target_height": 64, "target_width": 80},
    "resize_image": {"new_height": 64, "new_width": 80},
    "subtract_channel_mean": {"means": [123.68, 116.779, 103.939]},
    "drop_label_probabilistically": {"label": 1},
    "remap_labels": {"original_labels": [2, 3], "new_label": 1},
}


def refusal(name: str, **options: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Augmentation(name=name, options=options)
    assert refused.value.error_count() == 1
    return refused.value.errors()[0]["msg"].removeprefix("Value error, ")


def table_of(message) -> dict[str, object]:
    """A proto message's fields as (kind, default), with an operation's fields as another such table."""
    # the numbers that protobuf gives to float, int32, bool, string, message and enum
    kinds = {2: "float", 5: "int", 8: "bool", 9: "choice", 11: "operations", 14: "choice"}
    table: dict[str, object] = {}
    for field in message.fields:
        kind = kinds[field.type]
        if kind == "operations":
            table[field.name] = (kind, table_of(field.message_type))
            continue
        default = field.default_value if field.has_default_value else None
        if field.enum_type is not None:
            default = field.enum_type.values_by_number[field.default_value].name
        table[field.name] = (kind + "s" if field.is_repeated else kind, default)
    return table


def as_proto_sees(options: Mapping[str, Option]) -> dict[str, object]:
    """The table in the form of `table_of`; the proto's floats have 32 bits."""
    table: dict[str, object] = {}
    for name, option in options.items():
        default: object = option.default
        if option.kind == "operations":
            default = as_proto_sees(option.fields)
        elif isinstance(default, float):
            default = float(np.float32(default))
        table[name] = (option.kind, default)
    return table


def test_the_table_has_the_protos_names_kinds_and_defaults():
    compat.install_protos()
    from object_detection.protos import preprocessor_pb2

    steps = preprocessor_pb2.PreprocessingStep.DESCRIPTOR.fields
    in_proto = {step.name: table_of(step.message_type) for step in steps}
    assert len(in_proto) == 39
    assert {name: as_proto_sees(options) for name, options in AUGMENTATIONS.items()} == in_proto


def test_the_choices_are_the_protos():
    compat.install_protos()
    from object_detection.protos import preprocessor_pb2

    modes = preprocessor_pb2.RandomJitterBoxes.JitterMode.keys()
    assert AUGMENTATIONS["random_jitter_boxes"]["jitter_mode"].choices == tuple(modes)
    assert AUGMENTATIONS["resize_image"]["method"].choices == tuple(
        preprocessor_pb2.ResizeImage.Method.keys()
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_stands_with_its_defaults_and_round_trips(name: str):
    augmentation = Augmentation(name=name, options=REQUIRED.get(name, {}))
    again = Augmentation.model_validate(yaml.safe_load(yaml.safe_dump(augmentation.model_dump(mode="json"))))
    assert again == augmentation
    assert hash(again) == hash(augmentation)
    assert Augmentation.model_validate_json(augmentation.model_dump_json()) == augmentation
    assert pickle.loads(pickle.dumps(augmentation)) == augmentation
    defaults = {key: o.default for key, o in AUGMENTATIONS[name].items() if o.default is not None}
    assert {key: augmentation.options[key] for key in defaults} == defaults


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_option_is_named(name: str):
    first = next(iter(REQUIRED[name]))
    assert refusal(name).startswith(f"{name}: {first} is missing; it takes ")


def test_a_default_left_out_and_written_out_are_the_same_augmentation():
    assert Augmentation(name="random_horizontal_flip") == Augmentation(
        name="random_horizontal_flip", options={"probability": 0.5}
    )
    assert hash(Augmentation(name="random_crop_image", options={"min_area": 1})) == hash(
        Augmentation(name="random_crop_image", options={"max_area": 1.0, "min_area": 1.0})
    )


WRONG = [
    (
        "random_horizontal_flop",
        {},
        "unknown augmentation 'random_horizontal_flop'; did you mean random_horizontal_f",
    ),
    ("mixup_of_everything", {}, "unknown augmentation 'mixup_of_everything'; known are normalize_image, "),
    ("random_crop_image", {"min_aera": 0.5}, "unknown option 'min_aera'; did you mean min_area"),
    ("rgb_to_gray", {"probability": 1}, "rgb_to_gray: unknown option 'probability'; it takes none"),
    ("random_rgb_to_gray", {"probability": 1.5}, "probability must be a number in [0, 1], not 1.5"),
    ("random_rgb_to_gray", {"probability": "half"}, "must be a number in [0, 1], not 'half'"),
    ("random_rgb_to_gray", {"probability": True}, "must be a number in [0, 1], not True"),
    ("random_horizontal_flip", {"probability": 0}, "must be a number in (0, 1], not 0"),
    ("random_adjust_brightness", {"max_delta": 1}, "must be a number in [0, 1), not 1"),
    ("random_black_patches", {"max_black_patches": 2.5}, "must be a whole number in [0, 100], not 2.5"),
    ("random_crop_image", {"clip_boxes": 1}, "clip_boxes must be true or false, not 1"),
    (
        "resize_image",
        {"new_height": 9, "new_width": 9, "method": "CUBIC"},
        "method must be one of AREA, BICUBIC",
    ),
    ("random_crop_image", {"min_area": 0.9, "max_area": 0.5}, "min_area 0.9 must not exceed max_area 0.5"),
    ("random_crop_image", {"min_aspect_ratio": 2}, "min_aspect_ratio 2.0 must not exceed max_aspect_ratio"),
    ("random_square_crop_by_scale", {"scale_min": 2}, "scale_min 2.0 must not exceed scale_max 1.3"),
    ("random_pixel_value_scale", {"minval": 2}, "minval 2.0 must not exceed maxval 1.1"),
    ("random_jpeg_quality", {"min_jpeg_quality": 100}, "min_jpeg_quality 100 must be below max_jpeg_quality"),
    ("normalize_image", {"original_minval": 1, "original_maxval": 1}, "original_minval 1.0 must be below"),
    (
        "random_pad_image",
        {"min_image_height": 99},
        "min_image_height and min_image_width must be given together",
    ),
    (
        "random_pad_image",
        {"pad_color": [0, 0]},
        "pad_color must be a list of 3 numbers in [0, 255], not [0, 0]",
    ),
    (
        "random_crop_pad_image",
        {"min_padded_size_ratio": [2, 1], "max_padded_size_ratio": [1, 2]},
        "min_padded_size_ratio [2.0, 1.0] must not exceed max_padded_size_ratio [1.0, 2.0]",
    ),
    (
        "remap_labels",
        {"original_labels": [], "new_label": 1},
        "original_labels must be a list of some numbers",
    ),
    ("ssd_random_crop", {"operations": [3]}, "operations must be a list of mappings of min_object_covered"),
    ("ssd_random_crop", {"operations": [{}]}, "operations[0]: min_object_covered is missing"),
]


@pytest.mark.parametrize(("name", "options", "says"), WRONG)
def test_a_wrong_augmentation_is_refused_in_one_line(name: str, options: dict[str, object], says: str):
    message = refusal(name, **options)
    assert says in message
    assert "\n" not in message


def test_other_fields_are_refused_and_nothing_can_be_assigned():
    with pytest.raises(ValidationError):
        Augmentation.model_validate({"name": "rgb_to_gray", "probability": 0.5})
    augmentation = Augmentation(name="rgb_to_gray")
    with pytest.raises(ValidationError):
        augmentation.name = "random_rgb_to_gray"


def test_the_options_given_are_not_changed():
    given_options: dict[str, object] = {}
    Augmentation(name="random_horizontal_flip", options=given_options)
    assert given_options == {}


NUMBERS = [
    (name, key)
    for name, options in AUGMENTATIONS.items()
    for key, option in options.items()
    if option.kind in ("float", "int")
]


@given(st.sampled_from(NUMBERS), st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_outside_its_range_is_always_refused(place: tuple[str, str], number: float):
    name, key = place
    option = AUGMENTATIONS[name][key]
    assume(not option.low <= number <= option.high)
    assert f"{key} must be {option.allowed}, not {number!r}" in refusal(
        name, **REQUIRED.get(name, {}) | {key: number}
    )


# those whose range does not depend on another option
ALONE = [place for place in NUMBERS if "min" not in place[1] and "max" not in place[1]]


@given(st.sampled_from(ALONE), st.data())
def test_a_number_inside_its_range_is_taken_as_its_kind(place: tuple[str, str], data: st.DataObject):
    name, key = place
    option = AUGMENTATIONS[name][key]
    if option.kind == "int":
        number: float = data.draw(st.integers(int(option.low), int(option.high)))
    else:
        bounds = {"exclude_min": option.open_low, "exclude_max": option.open_high}
        number = data.draw(st.floats(option.low, option.high, **bounds))
    taken = Augmentation(name=name, options=REQUIRED.get(name, {}) | {key: number}).options[key]
    assert taken == number
    assert type(taken) is (int if option.kind == "int" else float)
