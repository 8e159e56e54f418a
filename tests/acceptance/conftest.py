"""A real browser, Debian's Chromium, in front of the page of a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

import orchlite
from orchlite.cli.login_address import login_address
from orchlite.rest import Server, serve
from orchlite.web import page

_PATIENCE_MS = 30_000
_FLAGS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Window:
    """A window of the browser, logged in. It remembers what must not be: errors on the console, and requests to other hosts."""

    def __init__(self, tab: Page, server: Server) -> None:
        self.tab = tab
        self.url = server.url
        self.faults: list[str] = []
        tab.on("console", lambda message: self._note(message.type in ("error", "warning"), f"console: {message.text}"))
        tab.on("pageerror", lambda error: self._note(True, f"script: {error}"))
        tab.on("request", lambda request: self._note(not request.url.startswith(f"{server.url}/"), f"request: {request.url}"))
        tab.goto(login_address(server.url, server.token))
        tab.wait_for_url(f"{server.url}/")

    def go(self, path: str) -> Page:
        """Open a page of the server."""
        self.tab.goto(f"{self.url}{path}")
        return self.tab

    def barriers(self) -> list[str]:
        """Return what axe finds on the page that is shown, slight things, too."""
        found: dict[str, Any] = Axe().run(self.tab).response
        return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']][:3]}" for one in found["violations"]]

    def _note(self, is_fault: bool, what: str) -> None:
        if is_fault:
            self.faults.append(what)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser. A test that needs it is left out where there is none; `.ci/run` installs it."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def server(client: orchlite.Client) -> Iterator[Server]:
    """A server with the page of the test's client, which keeps the schedules."""
    client.start()
    with serve(client, port=0, page=page(client)) as server:
        yield server


@pytest.fixture
def window(chromium: Browser, server: Server) -> Iterator[Window]:
    """A window on the start page. At the end, there must have been no fault."""
    with chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin") as context:
        window = Window(context.new_page(), server)
        yield window
        assert window.faults == []


@pytest.fixture
def screenshots(window: Window, tmp_path: Path) -> Callable[[str, str], None]:
    """Take a page's pictures, `screenshots(path, name)`: light, dark, 360 and 1,600 pixels wide, in the test's folder."""

    def take(path: str, name: str) -> None:
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360), ("light", 1600)):
            window.tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            window.tab.set_viewport_size({"width": width, "height": 900})
            window.go(path)
            assert window.tab.evaluate("document.documentElement.scrollWidth") <= width, f"{path} scrolls sideways at {width} px"
            window.tab.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)

    return take
