"""The report in Chromium: by day, at night, on a phone and on paper."""

from __future__ import annotations

import made_study
import pytest
from chromium import tab

from tuning import report

pytestmark = pytest.mark.slow

HOSTILE = ("</script><script>window.hit = 1</script>", "<img src=x onerror='window.hit = 1'>", "cyclist")
OVERFLOW = "document.documentElement.scrollWidth > innerWidth"
# of the first chart's axis text, and of the page behind it
COLOURS = "['.xtick text', 'body'].map(it => getComputedStyle(document.querySelector(it)))"
COLOURS += ".map(style => style.fill == 'rgb(0, 0, 0)' ? style.backgroundColor : style.fill)"


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "<b>street"
    made_study.make(folder, 12, classes=HOSTILE, space="all", images=24)
    assert report.main([str(folder)]) == 0
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize(
    ("width", "scheme", "medium"),
    [(1100, "light", "screen"), (1100, "dark", "screen"), (390, "dark", "screen"), (794, "dark", "print")],
)
def test_it_is_drawn_without_a_complaint_and_fits(page_of, width, scheme, medium):
    with tab(viewport={"width": width, "height": 844}, color_scheme=scheme) as seen:
        seen.page.goto(page_of)
        seen.page.wait_for_selector("html[data-drawn]")
        charts = seen.page.evaluate("document.querySelectorAll('.chart').length")
        assert int(seen.page.get_attribute("html", "data-drawn")) == charts > 5
        assert seen.page.evaluate("document.querySelectorAll('.chart .main-svg').length") >= charts
        if medium == "print":
            seen.page.emulate_media(media="print")
            seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert not seen.page.evaluate(OVERFLOW)
        ink, ground = (_brightness(colour) for colour in seen.page.evaluate(COLOURS))
        night = scheme == "dark" and medium == "screen"
        assert (ink > ground + 0.4) if night else (ink < ground - 0.4)
        assert seen.page.evaluate("window.hit") is None
        assert seen.errors == []
        assert seen.requests == []


def _brightness(colour: str) -> float:
    """0 to 1 of `rgb(1, 2, 3)`."""
    channels = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(channels) / 3 / 255
