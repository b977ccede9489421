"""Generates videos of the toy city with ground truth for detection and tracking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.toy_city.pictures import Box, draw
from trainers.datasets.toy_city.scenes import ToyCity, plan


@dataclass(frozen=True)
class TrackedRoadUser:
    """A road user in a frame.

    track: its track id, the same in every frame. name: its class. hidden: occluded share of its pixels, 0 to 1.
    box: [ymin, xmin, ymax, xmax] in pixels, of everything inside the frame, including occluded parts.
    """

    track: int
    name: str
    box: Box
    hidden: float


def frames(
    city: ToyCity, number: int, count: int, rate: float = 12.5
) -> Iterator[tuple[NDArray[np.uint8], list[TrackedRoadUser]]]:
    """`count` frames of scene `number` of the validation part at `rate` frames per second, with their road users.

    Frames are uint8 [height, width, 3], BGR, with even sides, as video encoders require.
    """
    scene = plan(city, "validation", number)
    for index in range(count):
        pixels, seen = draw(scene, index / rate)
        height, width = (side // 2 * 2 for side in pixels.shape[:2])
        users = [
            TrackedRoadUser(s.user, scene.users[s.user].kind, _cut(s.box, height, width), s.hidden)
            for s in seen
        ]
        yield pixels[:height, :width], users


def _cut(box: Box, height: int, width: int) -> Box:
    return box[0], box[1], min(box[2], height), min(box[3], width)


def write_video(path: Path, city: ToyCity, number: int, count: int, rate: float = 12.5) -> None:
    """Write an H.264 video, and its ground truth to `<path>.jsonl`, one line for each frame."""
    import av  # imported here: slow to import

    with av.open(str(path), "w") as container, path.with_name(f"{path.name}.jsonl").open("w") as truth:
        stream = container.add_stream(
            "libx264", rate=Fraction(rate).limit_denominator(1001), options={"crf": "23"}
        )
        stream.pix_fmt = "yuv420p"
        for index, (pixels, users) in enumerate(frames(city, number, count, rate)):
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "bgr24")))
            objects = [
                {"track": user.track, "class": user.name, "box": user.box, "hidden": round(user.hidden, 3)}
                for user in users
            ]
            truth.write(json.dumps({"frame": index, "objects": objects}) + "\n")
        container.mux(stream.encode())
