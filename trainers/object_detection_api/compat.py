"""Compatibility: makes the Object Detection API 2.8 (2021) importable on today's TensorFlow, Keras and protobuf.

There is one class or function per incompatibility, so that each can be deleted when it is no longer needed.
`install_protos` is enough for the `*_pb2` modules and needs no TensorFlow; `install` does everything. Nothing outside
the API is affected: environment variables are restored, protobuf keeps its fast implementation, and `import keras` is
still Keras 3.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from trainers.keras_training import start_up_lines

_PROTOS = "object_detection.protos."


class OldStyleProtos(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """protobuf >= 4 refuses the API's generated modules ("Descriptors cannot be created directly").

    Their `serialized_pb` is still valid. It is read from the source without running it, and built as protoc does today.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not (fullname.startswith(_PROTOS) and fullname.endswith("_pb2")):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=found.origin)

    def exec_module(self, module: types.ModuleType) -> None:
        from google.protobuf import descriptor_pool
        from google.protobuf.internal import builder

        assert module.__spec__ is not None
        assert module.__spec__.origin is not None
        tree = ast.parse(Path(module.__spec__.origin).read_text(encoding="utf-8"))
        for node in tree.body:  # the protos that it imports must be in the pool first
            if isinstance(node, ast.ImportFrom) and node.module == _PROTOS.rstrip("."):
                for alias in node.names:
                    importlib.import_module(_PROTOS + alias.name)
        serialized = next(
            ast.literal_eval(keyword.value)
            for keyword in ast.walk(tree)
            if isinstance(keyword, ast.keyword) and keyword.arg == "serialized_pb"
        )
        descriptor = descriptor_pool.Default().AddSerializedFile(serialized)
        namespace = vars(module)
        namespace["DESCRIPTOR"] = descriptor
        builder.BuildMessageAndEnumDescriptors(descriptor, namespace)
        builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, namespace)


def _route_tf_keras_to_keras_2() -> None:
    """`tf.keras` is Keras 3 since TensorFlow 2.16; the API needs Keras 2, which is still published as `tf_keras`.

    TensorFlow reads an environment variable the first time that each of its lazy Keras attributes is used. All are
    resolved here and the variable is restored, so that child processes and `import keras` are not affected.
    """
    import tensorflow as tf
    from tensorflow.python.util.lazy_loader import KerasLazyLoader

    name, before = "TF_USE_LEGACY_KERAS", os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ[name] = "1"
    try:
        for module in (tf, tf.compat.v1, tf.compat.v2):
            for attribute in vars(module).values():
                if isinstance(attribute, KerasLazyLoader):
                    attribute._initialize()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    # if `tf.keras` was used before, its attribute is no longer lazy
    tf.keras = tf.compat.v2.keras = importlib.import_module("tf_keras.api._v2.keras")
    tf.compat.v1.keras = importlib.import_module("tf_keras.api._v1.keras")


def _stand_in(name: str, **attributes: object) -> None:
    """Register a stub module called `name` with these attributes, unless the real one is installed."""
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        module = types.ModuleType(name)
        module.__dict__.update(attributes)
        sys.modules[name] = module


def _name_the_estimator_modes() -> None:
    """`tensorflow.compat.v1.estimator` (inputs.py, model_lib.py) was removed in 2.16; the API only needs ModeKeys."""
    import tensorflow as tf

    if not hasattr(tf.compat.v1, "estimator"):
        modes = types.SimpleNamespace(TRAIN="train", EVAL="eval", PREDICT="infer")
        tf.compat.v1.estimator = types.SimpleNamespace(ModeKeys=modes)


def _return_case_and_cond() -> None:
    """tf_slim's decoders call `control_flow_ops.case` and `.cond`, which TensorFlow has moved elsewhere."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_ops

    for name in ("case", "cond"):
        if not hasattr(control_flow_ops, name):
            setattr(control_flow_ops, name, getattr(tf, name))


def install_protos() -> None:
    """Make `object_detection.protos.*_pb2` importable. Needs no TensorFlow."""
    if not any(isinstance(finder, OldStyleProtos) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldStyleProtos())


def install() -> None:
    """Make all of `object_detection` importable. Call it before the first import from it; imports TensorFlow."""
    start_up_lines.hide()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # the API calls what TensorFlow has deprecated
    install_protos()
    _route_tf_keras_to_keras_2()
    _stand_in("tensorflow_io")  # imported by deepmac_meta_arch.py, but not used here
    _name_the_estimator_modes()
    _return_case_and_cond()
