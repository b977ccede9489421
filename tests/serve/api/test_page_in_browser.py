"""The web page in headless Chromium: upload a video, wait for it, play the result."""

from __future__ import annotations

import os
from pathlib import Path

import browser
import clips
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium here; apt-get install chromium"),
]


@pytest.fixture
def tab(tmp_path):
    with browser.Browser(tmp_path / "profile") as tab:
        yield tab


@pytest.mark.parametrize("codec", ["vp8", "vp9", "av1", "h264"])
def test_a_video_is_uploaded_and_its_result_plays(codec, server, tab, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 50, size=(240, 320), audio="aac")
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    assert tab.value("location.hash") == "", "the token does not stay in the address"
    tab.value(f"document.getElementById('codec').value = '{codec}'")
    tab.choose_file("#file", clip)
    tab.wait("!document.getElementById('result').hidden")
    tab.wait("document.getElementById('video').readyState >= 2")
    assert tab.value("document.getElementById('video').error") is None
    assert tab.value("document.getElementById('video').duration") == pytest.approx(2.0, abs=0.1)
    assert tab.value("document.getElementById('video').videoWidth") == 320
    tab.value(
        "new Promise(done => { const v = document.getElementById('video'); v.onseeked = done; v.currentTime = 0.41; })"
    )
    ymin, xmin, ymax, xmax = clips.position(10)
    x, y = round((xmin + xmax) / 2 * 320), round((ymin + ymax) / 2 * 240)
    red, green, blue = tab.pixel_of_video(x, y)
    assert red > 180
    assert green < 80
    assert blue < 80
    tab.value("document.getElementById('video').play()")
    tab.wait("document.getElementById('video').currentTime > 1")
    tab.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_toggling_the_boxes_keeps_the_playing_time(server, tab, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 50, size=(240, 320))
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", clip)
    tab.wait("document.getElementById('video').readyState >= 2")
    tab.value("document.getElementById('video').currentTime = 1")
    tab.value("document.getElementById('boxes').click()")
    tab.wait("document.getElementById('video').currentSrc.includes('/source')")
    tab.wait("Math.abs(document.getElementById('video').currentTime - 1) < 0.1")
    assert tab.value("document.getElementById('video').error") is None
    tab.value("document.querySelector('#jobs [aria-label^=Show]').click()")
    tab.wait("document.getElementById('video').currentSrc.includes('/video?')")
    tab.wait("document.getElementById('video').readyState >= 2")
    assert tab.value("document.getElementById('video').currentTime") == 0, (
        "another video begins at its beginning"
    )


def test_the_original_plays_beside_the_result(server, tab, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 50, size=(240, 320))
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", clip)
    tab.wait("document.getElementById('video').readyState >= 2")
    tab.value("document.getElementById('compare').click()")
    tab.value("document.getElementById('video').currentTime = 1")
    tab.wait("Math.abs(document.getElementById('original').currentTime - 1) < 0.1")
    assert tab.value("document.getElementById('original').currentSrc").startswith(server.url + "/v1/jobs/")
    tab.value("document.getElementById('video').play()")
    tab.wait("document.getElementById('original').currentTime > 1.2")


def test_the_timeline_shows_each_class_and_seeks(server, tab, tmp_path):
    clip = clips.make(tmp_path / "clip.mp4", 50, size=(240, 320))
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", clip)
    tab.wait("document.getElementById('video').readyState >= 2")
    tab.wait("document.querySelector('#timeline svg') !== null")
    assert tab.value("document.getElementById('timeline').innerText").split() == ["red"]
    label = tab.value("document.querySelector('#timeline svg').getAttribute('aria-label')")
    assert label == "red: in 50 of 50 frames"
    tab.value("""(() => {
      const box = document.querySelector('#timeline svg').getBoundingClientRect();
      const clientX = box.left + box.width / 2, clientY = box.top + box.height / 2;
      document.querySelector('#timeline svg').dispatchEvent(new MouseEvent('click', {clientX, clientY}));
    })()""")
    tab.wait("Math.abs(document.getElementById('video').currentTime - 0.98) < 0.1")


def test_of_many_files_one_that_is_refused_does_not_keep_back_the_others(server, tab, tmp_path):
    paths = [clips.make(tmp_path / f"many-{name}.mp4", 5) for name in "ab"]
    (tmp_path / "many-noise.mp4").write_bytes(b"noise" * 1000)
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", paths[0], tmp_path / "many-noise.mp4", paths[1])
    tab.wait("document.getElementById('notSent').textContent.includes('many-noise.mp4: ')")
    tab.wait("!document.getElementById('result').hidden")
    jobs = server.call("GET", "/v1/jobs").json()["jobs"]
    assert {"many-a.mp4", "many-b.mp4"} <= {job["name"] for job in jobs}


def test_the_page_asks_before_it_removes(server, tab, tmp_path):
    job = server.ended(server.submit(clips.make(tmp_path / "kept.mp4", 5)).json()["id"])
    tab.open(f"{server.url}/#token=token-for-tests")
    button = "document.querySelector('[aria-label=\"Remove kept.mp4\"]')"
    tab.wait(f"{button} !== null")
    tab.value(f"{button}.click()")
    assert "Remove kept.mp4 and its results?" in tab.value("document.getElementById('ask').innerText")
    tab.value("document.querySelector('#ask button[value=no]').click()")
    tab.wait("!document.getElementById('ask').open")
    assert server.job(job["id"])["state"] == "done"
    tab.value(f"{button}.click()")
    tab.value("document.querySelector('#ask button[value=yes]').click()")
    tab.wait(f"{button} === null")
    assert server.call("GET", f"/v1/jobs/{job['id']}").status_code == 404


def test_batches_are_shown_with_their_jobs_and_a_reader_cannot_change_anything(server, tab, tmp_path):
    for name in ("one", "two"):
        clips.make(server.settings.file_roots[0] / f"batched-{name}.mp4", 3)
    uris = [f"file://{server.settings.file_roots[0]}/batched-{name}.mp4" for name in ("one", "two")]
    batch = server.call("POST", "/v1/batches", json={"uris": uris, "options": {"annotate": False}}).json()[
        "id"
    ]
    tab.open(f"{server.url}/#token=token-for-tests")
    remove = f"document.querySelector('[aria-label=\"Remove batch {batch}\"]')"
    tab.wait(f"{remove} !== null")
    assert "2: 2 done" in tab.value("document.getElementById('batches').innerText")
    tab.value(f"document.querySelector('[aria-label=\"Jobs batch {batch}\"]').click()")
    tab.wait("document.getElementById('jobs').rows.length === 2")
    tab.value("document.getElementById('allJobs').click()")
    tab.wait("document.getElementById('allJobs').hidden")

    tab.value("sessionStorage.clear()")
    tab.open(f"{server.url}/?again#token=reader-for-tests")
    tab.wait("document.getElementById('jobs').rows.length > 1")
    buttons = tab.value(
        "Array.from(document.querySelectorAll('#main tbody button')).map(each => each.textContent)"
    )
    assert set(buttons) == {"Show", "Jobs", "Manifest"}
    assert tab.value("document.getElementById('drop').hidden && document.getElementById('options').hidden")

    tab.value("sessionStorage.clear()")
    tab.open(f"{server.url}/?third#token=token-for-tests")
    tab.wait(f"{remove} !== null")
    tab.value(f"{remove}.click()")
    tab.value("document.querySelector('#ask button[value=yes]').click()")
    tab.wait(f"{remove} === null")
    assert server.call("GET", f"/v1/batches/{batch}").status_code == 404


@pytest.mark.skipif(
    "AXE_CORE" not in os.environ, reason="no axe-core; npm install axe-core, AXE_CORE=.../axe.min.js"
)
def test_axe_core_finds_no_barrier(server, tab, tmp_path):
    rules = Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8")
    tab.open(server.url)
    assert violations(tab, rules) == []
    tab.value("document.getElementById('token').value = 'token-for-tests'")
    tab.value("document.getElementById('enter').click()")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", clips.make(tmp_path / "clip.mp4", 25))
    tab.wait("!document.getElementById('result').hidden")
    tab.value("document.getElementById('compare').click()")
    assert violations(tab, rules) == []


def violations(tab, rules):
    """What axe-core finds on the page as it is: rules and the elements that break them."""
    tab.value(rules + "; 1")
    return tab.value(
        "axe.run().then(found => found.violations.map(v => [v.id, v.nodes.map(n => n.html).join(' ').slice(0, 300)]))"
    )


def test_an_error_is_shown_on_the_page(server, tab, tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"noise" * 1000)
    tab.open(f"{server.url}/#token=token-for-tests")
    tab.wait("!document.getElementById('main').hidden")
    tab.choose_file("#file", tmp_path / "noise.mp4")
    tab.wait("document.getElementById('status').textContent.includes('not a readable video')")


def test_without_the_token_the_page_shows_nothing(server, tab):
    tab.open(server.url)
    tab.wait("document.readyState == 'complete'")
    assert tab.value("document.getElementById('main').hidden") is True
