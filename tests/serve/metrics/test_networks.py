"""What networks count reaches the counters of the deployment exactly once."""

from __future__ import annotations

import numpy as np

from serve.backends.batching import Batcher
from serve.deployment.database import Database
from serve.metrics.counters import Counters
from serve.metrics.networks import NetworkCounts


def counted(counters):
    counters.flush()
    return {(name, *labels.values()): value for name, labels, value in counters.all()}


def detect(batcher, number):
    for _ in range(number):
        batcher.submit(np.zeros((64, 64, 3), np.uint8)).result(60)


def test_a_model_that_is_loaded_again_only_adds(backend, tmp_path):
    counters = Counters(Database(tmp_path, create=True))
    counts = NetworkCounts(counters)
    for number in (3, 1):  # the second batcher counts from 0 again
        batcher = Batcher(backend, 8)
        detect(batcher, number)
        batcher.close()
        for _ in range(2):
            counts.record("model", batcher)
    found = counted(counters)
    assert found["images", "model"] == 4
    assert found["batches", "1"] == 4
    buckets = dict.fromkeys(("stage_seconds.bucket", "image_queue_seconds.bucket"), 0.0)
    for (name, *_), value in found.items():
        if name in buckets:
            buckets[name] += value
    assert buckets == {"stage_seconds.bucket": 4, "image_queue_seconds.bucket": 4}
