"""What encoding costs and what it keeps: each codec at several speeds, by CPU time a frame, kbit/s and SSIM of the luma.

    .venv/bin/python tests/benchmarks/serving/serving_codecs.py --video cars

The frames are those that annotation encodes: decoded, in RGB. One thread; CPU time, so that other load does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from serving_parts import CARS, generated, keep

from serve.jobs.limits import NO_LIMITS
from serve.jobs.options import Codec
from serve.video.decoding import Decoder
from serve.video.encoding import ENCODERS, SegmentWriter, planes_of
from serve.video.opening import probe

FRAMES = 128  # of a segment
# option of each encoder that trades size for speed, and its values, fastest first
SPEEDS: dict[Codec, tuple[str, tuple[str, ...]]] = {
    "vp8": ("cpu-used", ("16", "14", "12")),
    "vp9": ("cpu-used", ("8", "7", "6", "5")),
    "av1": ("preset", ("13", "12", "10")),
    "h264": ("preset", ("ultrafast", "superfast", "veryfast", "faster")),
}


@dataclass(frozen=True)
class Encoded:
    """cpu_ms: of a frame. kbit_s: of the file. ssim: mean over frames, of the luma."""

    cpu_ms: float
    kbit_s: float
    ssim: float


def encoded(images: list[np.ndarray], rate: Fraction, codec: Codec, value: str, folder: Path) -> Encoded:
    """The frames encoded as annotation does it, at this speed."""
    name, options = ENCODERS[codec]
    path = folder / "out.video"
    before = ENCODERS[codec]
    ENCODERS[codec] = (name, options | {SPEEDS[codec][0]: value})
    try:
        height, width = images[0].shape[:2]
        began = time.process_time()
        with SegmentWriter(path, codec, width, height, rate, 1) as writer:
            for index, image in enumerate(images):
                writer.write(planes_of(image), index / rate)
        seconds = time.process_time() - began
    finally:
        ENCODERS[codec] = before
    kept = [ssim(luma(a), luma(b.image)) for a, b in zip(images, Decoder(path, NO_LIMITS), strict=True)]
    size = 8 * path.stat().st_size / 1000 / float(len(images) / rate)
    return Encoded(1000 * seconds / len(images), size, float(np.mean(kept)))


def luma(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float32."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity (Wang et al. 2004): a Gaussian window of 11 pixels with sigma 1.5."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def main() -> None:
    """See the module's docstring."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--video", choices=("cars", "720p"), default="cars")
    line.add_argument("--frames", type=int, default=FRAMES)
    line.add_argument("--out", type=Path)
    chosen = line.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = CARS if chosen.video == "cars" else generated(folder / "720p.mp4", 15)
        rate = Fraction(probe(video, NO_LIMITS).rate)
        images = [
            frame.image for frame, _ in zip(Decoder(video, NO_LIMITS), range(chosen.frames), strict=False)
        ]
        result: dict[str, Any] = {"video": chosen.video, "frames": len(images)}
        for codec, (option, values) in SPEEDS.items():
            for value in values:
                in_use = " (in use)" if ENCODERS[codec][1][option] == value else ""
                result[f"{codec} {option} {value}{in_use}"] = vars(
                    encoded(images, rate, codec, value, folder)
                )
    keep("serving_codecs", result, chosen.out)


if __name__ == "__main__":
    main()
