"""What all tests share: their order, one thread of TensorFlow, one niceness, untimed hypothesis; how a run is ended."""

import os
import signal
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import settings

# the workers of pytest and what they start share two cores
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Ray and the MLflow writer run at a low priority: beside tests of a higher one, a search took eight times as long
os.nice(19 - os.nice(0))
# not the user's own: what serving keeps of the exports that tests make
_worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
os.environ["DETECTOR_SERVING_CACHE"] = str(Path(tempfile.gettempdir()) / f"detector-tests-serving-{_worker}")
# quantizing a network takes a quarter of a minute, converting it for ONNX Runtime half; their own tests name them
os.environ["DETECTOR_SERVING_BACKENDS"] = "openvino,tensorflow"
# no test fetches published weights, whether there is a network or not
os.environ["DETECTOR_ZOO_URL"] = "file:///no/such/zoo"

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def _seconds(item: pytest.Item) -> float:
    return sum(mark.args[0] for mark in item.iter_markers("slow") if mark.args)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those with most tests: the workers then end at about the same time."""
    longest: dict[object, tuple[bool, float]] = {}
    count = Counter(item.path for item in items)
    for item in items:
        cost = (item.get_closest_marker("slow") is not None, _seconds(item))
        longest[item.path] = max(cost, longest.get(item.path, cost))
    items.sort(key=lambda item: (*longest[item.path], count[item.path]), reverse=True)


_running: set[str] = set()


def pytest_runtest_logstart(nodeid: str) -> None:
    _running.add(nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    _running.discard(nodeid)


def pytest_configure() -> None:
    """A run that is ended from outside, as by the time that CI gives it, says what ran, and what had failed."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        signal.signal(signal.SIGTERM, _end)


def _end(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt("ended by SIGTERM while these ran: " + ", ".join(sorted(_running)))
