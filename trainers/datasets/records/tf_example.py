"""Encodes and decodes tf.train.Example, the message in TFRecord files for the Object Detection API, without TensorFlow.

The message is declared as in tensorflow/core/example/{example,feature}.proto, but in a separate descriptor pool, so
that it does not clash with TensorFlow's own declaration in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

Value = bytes | Sequence[bytes] | Sequence[int] | Sequence[float]
_LISTS = (("bytes_list", "BytesList", 12), ("float_list", "FloatList", 2), ("int64_list", "Int64List", 3))


@cache
def _example_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")
    feature = descriptor_pb2.DescriptorProto(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind, scalar) in enumerate(_LISTS, 1):
        file.message_type.add(name=kind).field.add(
            name="value", number=1, label=field.LABEL_REPEATED, type=field.Type.ValueType(scalar)
        )
        feature.field.add(
            name=name, number=number, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
            type_name=f".tensorflow.{kind}", oneof_index=0,
        )  # fmt: skip
    file.message_type.append(feature)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Feature",
    )
    features.field.add(
        name="feature", number=1, label=field.LABEL_REPEATED, type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
    )  # fmt: skip
    file.message_type.add(name="Example").field.add(
        name="features",
        number=1,
        label=field.LABEL_OPTIONAL,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def encode(features: Mapping[str, Value]) -> bytes:
    """The serialised message, deterministic for the same features. The first item of a list decides its type."""
    example = _example_class()()
    table = example.features.feature
    for name, value in features.items():
        values = (value,) if type(value) is bytes else value
        feature = table[name]
        kind = type(values[0]) if values else None
        if kind is None:
            feature.SetInParent()
        elif kind is bytes:
            feature.bytes_list.value.extend(values)
        elif kind is float:
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    encoded: bytes = example.SerializeToString(deterministic=True)
    return encoded


def decode(data: bytes) -> dict[str, list[Any]]:
    """The features by name, as lists of bytes, floats or ints. Raises ValueError if `data` is no tf.train.Example."""
    try:
        example = _example_class().FromString(data)
    except DecodeError:
        raise ValueError("not a tf.train.Example") from None
    features: dict[str, list[Any]] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        features[name] = list(getattr(feature, kind).value) if kind else []
    return features
