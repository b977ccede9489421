"""The web page with a segmentation model, in headless Chromium: a video is uploaded and plays with its masks."""

from __future__ import annotations

import browser
import clips
import numpy as np
import pytest
from coloured import CLASSES
from rectangles import picture

from serve.masks.drawing import draw
from serve.masks.regions import regions

pytestmark = [
    pytest.mark.slow(15),
    pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium here; apt-get install chromium"),
]


def test_a_video_is_uploaded_and_plays_with_masks_and_a_timeline_of_classes(masks, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 25, size=(240, 320))
    with browser.Browser(tmp_path / "profile") as tab:
        tab.open(f"{masks.url}/#token=token-for-tests")
        tab.wait("!document.getElementById('main').hidden")
        tab.choose_file("#file", clip)
        tab.wait("!document.getElementById('result').hidden")
        tab.wait("document.getElementById('video').readyState >= 2")
        assert tab.value("document.getElementById('video').error") is None
        tab.value(
            "new Promise(done => { const v = document.getElementById('video'); v.onseeked = done; "
            "v.currentTime = 0.41; })"
        )
        ymin, xmin, ymax, xmax = clips.position(10)
        x, y = (
            round((0.8 * xmin + 0.2 * xmax) * 320),
            round((0.8 * ymin + 0.2 * ymax) * 240),
        )  # beside the name
        shown = tab.pixel_of_video(x, y)
        tab.wait("document.querySelector('#timeline svg') !== null")
        assert "red" in tab.value("document.getElementById('timeline').innerText").split()
    mask = np.zeros((240, 320), np.uint8)
    mask[round(ymin * 240) : round(ymax * 240), round(xmin * 320) : round(xmax * 320)] = CLASSES.index("red")
    plain = picture(240, 320, {"red": clips.position(10)})
    expected = draw(plain.copy(), regions(mask, CLASSES))[y, x]
    assert (abs(expected.astype(int) - plain[y, x])).max() > 60
    assert shown == pytest.approx(expected.tolist(), abs=30)
