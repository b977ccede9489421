"""Makes the pictures of README and docs anew: `make pictures`.

docs/search.svg is the terminal at the end of a real search, docs/report.png the first page of its report (this needs
Chromium). The search is `tuning.run --space mobilenet` with its defaults, on the generated toy city.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

import tuning  # noqa: E402
from tuning.api import searching  # noqa: E402
from tuning.api.settings import Settings  # noqa: E402

STUDY = "pictures"
WIDTH = 140
PAGE = {"width": 1100, "height": 900}


def draw_search(studies: Path) -> None:
    """Search, or resume the search, and keep what the terminal shows when it has ended."""
    words = ["--space", "mobilenet"]
    searching.run(Settings(space="mobilenet", study=STUDY, studies_dir=studies), Console(width=WIDTH), words)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    searching.run(Settings(space="mobilenet", study=STUDY, studies_dir=studies), console, words)
    title = "python -m tuning.run --space mobilenet"
    console.save_svg(str(ROOT / "docs" / "search.svg"), title=title)


def draw_report(studies: Path) -> None:
    """The first page of the study's report, as a browser shows it."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    page = tuning.load_study(STUDY, studies).report()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport=PAGE)
        tab.goto(Path(str(page)).absolute().as_uri())
        tab.wait_for_timeout(2000)
        tab.screenshot(path=str(ROOT / "docs" / "report.png"))
        browser.close()


if __name__ == "__main__":
    folder = ROOT / "studies"
    draw_search(folder)
    draw_report(folder)
