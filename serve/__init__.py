"""Runs exported models: behind HTTP (`serve.run`), on one video (`serve.detect`), or from Python (Detector, Segmenter).

    import serve

    with serve.Detector("studies/street/trials/3/export") as detector:
        found = detector.detect("junction.jpg")[0]
        detector.annotate("drive.mp4", "found.webm")

Importing `serve` imports neither TensorFlow nor any other runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.keras_training import start_up_lines

if TYPE_CHECKING:
    from serve.detections import Detections
    from serve.detector import Detector
    from serve.segmenter import Segmentation, Segmenter

__all__ = ["Detections", "Detector", "Segmentation", "Segmenter"]

# Every process of this package imports this module first, so TensorFlow's and absl's start-up lines are silenced here.
start_up_lines.hide()


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from serve.detector import Detector

        return Detector
    if name == "Detections":
        from serve.detections import Detections

        return Detections
    if name in ("Segmentation", "Segmenter"):
        from serve import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
