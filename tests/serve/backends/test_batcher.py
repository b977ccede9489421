"""Batcher: every image is processed once, in batches, urgent ones first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from serve.backends.batching import Batcher, NetworkFailed
from trainers.detection.samples import DetectionArrays


class Slow:
    """Detects as many objects as the first pixel's value; waits for the gate before each batch."""

    def __init__(self, streams=1):
        self.streams = streams
        self.gate = threading.Semaphore(0)
        self.batches = []
        self.least = []

    def run(self, images, least=0.0):
        self.gate.acquire()
        self.least.append(least)
        firsts = [int(image[0, 0, 0]) for image in images]
        self.batches.append(firsts)
        if 99 in firsts:
            raise ValueError("it breaks")
        return [DetectionArrays(np.zeros((n, 4)), np.ones(n), np.ones(n, int)) for n in firsts]


def square(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, np.uint8)


@pytest.fixture
def slow():
    return Slow()


def test_waiting_images_form_a_batch_up_to_the_size_with_urgent_ones_first(slow):
    batcher = Batcher(slow, 4, count=lambda found: len(found.scores))
    first = batcher.submit(square(1))
    while batcher.waiting:  # until the thread has taken it and waits at the gate
        pass
    rest = [batcher.submit(square(n)) for n in range(2, 8)]
    urgent = batcher.submit(square(20), urgent=True)
    for _ in range(3):
        slow.gate.release()
    assert len(first.result(10).scores) == 1
    assert len(urgent.result(10).scores) == 20
    assert [len(each.result(10).scores) for each in rest] == [2, 3, 4, 5, 6, 7]
    assert slow.batches == [[1], [20, 2, 3, 4], [5, 6, 7]]
    batcher.close()
    assert batcher.counts["images"] == 8
    assert batcher.counts["batches", 4] == 1
    assert batcher.counts["objects"] == 1 + 20 + sum(range(2, 8))


def test_a_batch_keeps_the_lowest_score_that_matters_to_any_of_its_images(slow):
    batcher = Batcher(slow, 4)
    first = batcher.submit(square(1), least=0.5)
    while batcher.waiting:
        pass
    rest = [batcher.submit(square(1), least=least) for least in (0.5, 0.2, 0.3)]
    for _ in range(2):
        slow.gate.release()
    for each in (first, *rest):
        each.result(10)
    assert slow.least == [0.5, 0.2]
    batcher.close()


def test_each_stream_of_the_network_runs_its_own_batch():
    both = threading.Barrier(2, timeout=10)  # passes only when two batches run at the same time
    slow = Slow(streams=2)
    slow.gate.acquire = both.wait
    batcher = Batcher(slow, 1)
    waiting = [batcher.submit(square(n)) for n in range(6)]
    assert [len(each.result(10).scores) for each in waiting] == [0, 1, 2, 3, 4, 5]
    batcher.close()
    assert batcher.capacity == 2
    assert batcher.counts["images"] == batcher.counts["batches", 1] == 6


def test_a_failing_batch_fails_its_images_and_the_next_one_runs(slow):
    batcher = Batcher(slow, 4)
    for _ in range(2):
        slow.gate.release()
    with pytest.raises(NetworkFailed, match="it breaks"):
        batcher.submit(square(99)).result(10)
    assert len(batcher.submit(square(3)).result(10).scores) == 3
    batcher.close()
    assert batcher.counts["errors"] == 1


def test_closing_processes_the_waiting_images_and_refuses_new_ones(slow):
    batcher = Batcher(slow, 1)
    waiting = [batcher.submit(square(n)) for n in range(3)]
    for _ in range(3):
        slow.gate.release()
    batcher.close()
    assert all(each.done() for each in waiting)
    with pytest.raises(RuntimeError):
        batcher.submit(square(1))
