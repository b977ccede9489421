"""The toy city in motion: everybody keeps a number, and a written video has its truth beside it."""

from __future__ import annotations

import json
from itertools import pairwise

import av
import numpy as np

from trainers.datasets.toy_city.scenes import ToyCity
from trainers.datasets.toy_city.video import frames, write_video


def test_in_a_video_everybody_keeps_a_number_and_moves_on():
    shot = list(frames(ToyCity(users=(3, 3)), 2, count=40))
    sizes = {pixels.shape for pixels, _ in shot}
    assert len(sizes) == 1
    assert all(side % 2 == 0 for side in sizes.pop()[:2])
    first = {user.track: user for user in shot[0][1]}
    assert len(first) == 3
    for (_, before), (_, after) in pairwise(shot):
        assert [user.track for user in after] == [0, 1, 2]
        for was, now in zip(before, after, strict=True):
            assert was.name == now.name
            assert abs(was.box[0] - now.box[0]) < 12
            assert abs(was.box[1] + was.box[3] - now.box[1] - now.box[3]) < 80
    moved = [abs(first[user.track].box[1] - user.box[1]) for user in shot[12][1]]
    assert max(moved) > 5
    again = frames(ToyCity(users=(3, 3)), 2, count=2)
    assert all((a == b).all() for (a, _), (b, _) in zip(shot, again, strict=False))


def test_a_video_is_written_with_its_truth(tmp_path):
    write_video(tmp_path / "street.mp4", ToyCity(), 1, count=10)
    with av.open(str(tmp_path / "street.mp4")) as container:
        decoded_frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 12.5
    truth = [json.loads(line) for line in (tmp_path / "street.mp4.jsonl").read_text().splitlines()]
    assert len(decoded_frames) == len(truth) == 10
    assert [line["frame"] for line in truth] == list(range(10))
    assert all(set(each) == {"track", "class", "box", "hidden"} for line in truth for each in line["objects"])
    for shown, (pixels, _) in zip(decoded_frames, frames(ToyCity(), 1, count=10), strict=True):
        assert np.abs(shown.astype(int) - pixels).mean() < 12
