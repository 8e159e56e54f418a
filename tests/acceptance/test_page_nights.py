"""The page in a real browser: from the log-in to a failed night, and the buttons of a task."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import orchlite

pytestmark = pytest.mark.slow

_NEVER = "0 0 29 2 *"
_FAILING = "def load():\n    raise ValueError('no rows of 2026-11-25')\n\nload()\n"


def _line(window: Any, title: str) -> Any:
    """Return the line of a task on the start page."""
    return window.tab.locator("li.night").filter(has=window.tab.get_by_role("heading", name=title, exact=True))


def test_an_empty_store_is_opened_and_says_how_to_begin(window: Any, screenshots: Callable[[str, str], None]) -> None:
    assert window.tab.title() == "Last nights · orchlite"
    expect(window.tab.get_by_text("Nothing has run, and nothing is scheduled.")).to_be_visible()
    assert window.barriers() == []
    screenshots("/", "empty")


def test_a_failed_night_appears_by_itself_and_is_reached_by_one_click(
    window: Any, client: orchlite.Client, folder: Callable[..., Path], screenshots: Callable[[str, str], None]
) -> None:
    orchestration = client.upload_orchestration(path=folder(_FAILING), name="sales report").wait()
    task = orchestration.run_scheduled("nightly", _NEVER)
    window.go("/")
    expect(_line(window, "nightly")).to_be_visible()
    run = task.run_now().wait()
    expect(window.tab.get_by_text("1 task failing.")).to_be_visible()  # the page was not loaded again
    assert window.barriers() == []
    screenshots("/", "failing")
    _line(window, "nightly").get_by_role("link", name="ValueError: no rows of 2026-11-25").click()
    window.tab.wait_for_url(re.compile(f"/runs/{run.id()}"))
    expect(window.tab.get_by_text("raise ValueError").first).to_be_visible()


def test_a_task_is_run_watched_paused_and_resumed(
    window: Any, client: orchlite.Client, folder: Callable[..., Path], waiting_program: str, gate: Path
) -> None:
    task = client.upload_orchestration(path=folder(waiting_program), name="slow").wait().run_scheduled("nightly", _NEVER)
    tab = window.go("/")
    _line(window, "nightly").locator("summary", has_text="Run now").click()
    _line(window, "nightly").get_by_role("button", name="Run now").click()
    tab.wait_for_url(re.compile("/runs/"))
    expect(tab.get_by_text("begun")).to_be_visible()
    expect(tab.locator("h1 .badge")).to_have_text("running")
    gate.touch()
    expect(tab.get_by_text("done", exact=True)).to_be_visible()
    expect(tab.locator("h1 .badge")).to_have_text("success")
    window.go("/")
    _line(window, "nightly").locator("summary", has_text="Pause").click()
    _line(window, "nightly").get_by_role("button", name="Pause").click()
    expect(_line(window, "nightly").locator(".badge")).to_have_text("paused")
    assert task.status() == "paused"
    _line(window, "nightly").get_by_role("button", name="Resume").click()
    expect(_line(window, "nightly").locator(".badge")).to_have_count(0)
    assert task.status() == "started"


def test_times_are_local_or_in_utc_at_a_switch(window: Any, client: orchlite.Client, folder: Callable[..., Path]) -> None:
    client.upload_orchestration(path=folder("")).wait().run_scheduled("nightly", _NEVER)
    tab = window.go("/")
    time = _line(window, "nightly").locator("small time")
    expect(time).to_have_text(re.compile(r"02-29 01:00$"))  # in Berlin
    tab.get_by_role("button", name="Time zone of all times").click()
    expect(time).to_have_text(re.compile(r"02-29 00:00 UTC$"))
    window.go("/")
    expect(time).to_have_text(re.compile(r"02-29 00:00 UTC$"))


def test_the_page_works_without_scripts(chromium: Any, server: Any, client: orchlite.Client, folder: Callable[..., Path]) -> None:
    from orchlite.cli.login_address import login_address

    task = client.upload_orchestration(path=folder("")).wait().run_scheduled("nightly", _NEVER)
    with chromium.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(login_address(server.url, server.token))
        tab.get_by_role("button", name="Log in").click()
        tab.locator("li.night").locator("summary", has_text="Pause").click()
        tab.locator("li.night").get_by_role("button", name="Pause").click()
        expect(tab.locator("li.night .badge")).to_have_text("paused")
    assert task.status() == "paused"


def test_the_page_is_used_by_keyboard(window: Any, client: orchlite.Client, folder: Callable[..., Path]) -> None:
    task = client.upload_orchestration(path=folder("")).wait().run_scheduled("nightly", _NEVER)
    tab = window.go("/")
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab.keyboard.press("Enter")
    _line(window, "nightly").locator("summary", has_text="Pause").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(_line(window, "nightly").locator(".badge")).to_have_text("paused")
    assert task.status() == "paused"


def test_a_square_says_at_the_keyboard_what_its_tooltip_says(window: Any, client: orchlite.Client, folder: Callable[..., Path]) -> None:
    client.upload_orchestration(path=folder(_FAILING)).wait().run_scheduled("nightly", _NEVER).run_now().wait()
    tab = window.go("/")
    _line(window, "nightly").locator(".strip a").focus()
    expect(tab.locator("#caption")).to_have_text(re.compile(r"^failure \d{4}-\d\d-\d\d \d\d:\d\d, .* s, exit 1"))
    assert window.barriers() == []
