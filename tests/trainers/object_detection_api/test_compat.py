"""Importing the API changes nothing for others in the same environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_the_apis_protos_need_no_tensorflow_and_leave_protobuf_its_speed():
    answer = run("""
import sys
from trainers.object_detection_api import compat
compat.install_protos()
from object_detection.protos import pipeline_pb2
from google.protobuf import timestamp_pb2, text_format
from google.protobuf.internal import api_implementation
config = pipeline_pb2.TrainEvalPipelineConfig()
config.train_config.batch_size = 3
assert pipeline_pb2.TrainEvalPipelineConfig.FromString(config.SerializeToString()) == config
assert timestamp_pb2.Timestamp(seconds=1).ToJsonString() == '1970-01-01T00:00:01Z'
print(api_implementation.Type(), 'tensorflow' in sys.modules)
""")
    assert answer == "upb False"


@pytest.mark.slow(30)
@pytest.mark.parametrize("first", ["the api", "keras 3"])
def test_keras_3_works_beside_the_api_whichever_comes_first(first):
    use_keras = "import keras; assert keras.layers.Dense(3)(keras.ops.ones((1, 2))).shape == (1, 3)"
    use_tf_keras = "import tensorflow as tf; tf.keras.layers.Dense"
    before = f"{use_keras}\n{use_tf_keras}" if first == "keras 3" else ""
    answer = run(f"""
import os
{before}
from trainers.object_detection_api import compat
compat.install()
from object_detection.builders import model_builder
from object_detection import inputs
{use_keras}
print(keras.__version__.split('.')[0], os.environ.get('TF_USE_LEGACY_KERAS'))
""")
    assert answer.splitlines()[-1] == "3 None"


@pytest.mark.slow(30)
def test_importing_the_trainer_prints_nothing():
    code = "import trainers.object_detection_api.trainer"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
