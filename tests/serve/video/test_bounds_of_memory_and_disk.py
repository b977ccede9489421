"""A job keeps to its limits of memory and of results, whatever its video."""

from __future__ import annotations

import asyncio

import clips
import pytest

from serve.deployment.budget import Budget
from serve.errors import Refused
from serve.jobs.limits import Limits
from serve.jobs.options import Options
from serve.video import pipeline
from serve.video.opening import VideoFacts, probe
from serve.video.pipeline import VideoPipeline


def of(facts, source, work, rectangles, batcher, limits):
    return VideoPipeline(
        source, facts, work, rectangles, batcher, Options(), limits, lambda progress: None, 1, 16
    )


@pytest.mark.parametrize("size", [(160, 120), (1920, 1080), (3840, 2160), (7680, 4320)])
@pytest.mark.parametrize("budget", [64 << 20, 256 << 20])
def test_frames_in_flight_are_bounded_by_memory(size, budget, rectangles, batcher, tmp_path):
    facts = VideoFacts(*size, 0, "25", 1.0, 25, "h264", None)
    few, many = of(facts, tmp_path, tmp_path, rectangles, batcher, Limits(frame_bytes=budget))._depths()
    assert few >= 1
    assert many >= 1
    in_flight = ((few + many) * 3 + few * 4.5) * size[0] * size[1]  # drawn ones are there as RGB and as YUV
    assert in_flight <= budget or (few, many) == (1, 1)
    if size == (160, 120):
        assert few == pipeline.QUEUE_FRAMES, "small frames are not held up"


def test_results_beyond_the_limit_end_the_job_with_a_hint(rectangles, batcher, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", 60)
    limits = Limits(free_bytes=0, output_bytes=8000)
    with pytest.raises(Refused, match="the results exceed the limit of 8000 bytes after") as error:
        of(probe(source, limits), source, tmp_path / "work", rectangles, batcher, limits).run()
    assert error.value.status == 413
    assert "higher threshold" in error.value.detail


def test_requests_beyond_the_pixels_of_a_replica_wait_for_each_other():
    async def main():
        budget, running, most = Budget(100, "pixels"), 0, 0

        async def request(pixels):
            nonlocal running, most
            async with budget.taken(pixels):
                running += pixels
                most = max(most, running)
                await asyncio.sleep(0)
                running -= pixels

        await asyncio.gather(*(request(40) for _ in range(10)))
        assert most == 80
        with pytest.raises(Refused, match="101 pixels in all; the limit for a request is 100"):
            await request(101)

    asyncio.run(main())
