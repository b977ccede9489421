"""A tab of Debian's Chromium through Playwright, that notes whatever goes wrong or leaves the machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 300_000  # milliseconds, on a machine that has other things to do


@dataclass
class Tab:
    """page: Playwright's. errors: what the console and the page's scripts complained of. requests: over a network."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def tab(**options: object) -> Iterator[Tab]:
    """One tab; options: of Playwright's context (viewport, color_scheme, ...). Skips where there is no Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    if PROGRAM is None:
        pytest.skip("no Chromium here; apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"], timeout=PATIENCE)
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(PATIENCE)
        found = Tab(page)
        page.on("console", lambda said: said.type == "error" and found.errors.append(said.text))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith("http") and found.requests.append(asked.url))
        yield found
        browser.close()
