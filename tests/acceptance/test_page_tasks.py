"""The page in a real browser: a task is scheduled, run, paused, resumed, replaced and killed; and everything piles up at half past two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.cli.login_address import login_address
from orchlite.rest import Server, serve
from orchlite.testing import ManualClock, StubProcess, StubRun
from orchlite.web import page
from tests.acceptance.conftest import Window

pytestmark = pytest.mark.slow

Nights = tuple[Server, dict[str, str]]
Until = Callable[[Callable[[], object]], None]


@pytest.fixture(params=[True, False], ids=["with a script", "without a script"])
def tab(request: pytest.FixtureRequest, chromium: Any, server: Any) -> Iterator[Any]:
    """A window that is logged in, with or without JavaScript."""
    with chromium.new_context(java_script_enabled=request.param) as context:
        tab = context.new_page()
        tab.goto(login_address(server.url, server.token))
        if not request.param:
            tab.get_by_role("button").click()
        tab.wait_for_url(f"{server.url}/")
        yield tab


def _ask(tab: Any, name: str) -> Any:
    """Click a button that asks, which does nothing yet, and return its question."""
    summary = tab.locator("summary", has_text=name)
    summary.click()
    return summary.locator("xpath=..").locator("form")


def test_a_task_is_steered_with_buttons_that_ask_once(
    tab: Any, server: Any, client: orchlite.Client, folder: Callable[..., Path], waiting_program: str, gate: Path, until: Until
) -> None:
    first = client.upload_orchestration(path=folder(waiting_program), name="job").wait()
    tab.goto(f"{server.url}/orchestrations/{first.id()}")
    tab.get_by_text("Schedule", exact=True).first.click()
    tab.get_by_label("Name of the task", exact=True).fill("nightly")
    tab.get_by_label("Schedule, five fields").fill("0 0 1 1 *")
    tab.get_by_role("button", name="Schedule").click()
    tab.wait_for_url("**/tasks/*")
    address, task = tab.url, client.get_task("nightly")
    assert "On day 1 of January at 00:00, UTC" in tab.text_content("#due")

    question = _ask(tab, "Run now")
    assert task.last_runs() == []
    question.get_by_role("button").click()
    tab.wait_for_url("**/runs/*")
    until(lambda: [run.status() for run in task.last_runs()] == ["running"])

    tab.goto(address)
    question = _ask(tab, "Pause")
    assert task.status() == "started"
    question.get_by_role("button").click()
    tab.locator(".badge.paused").first.wait_for()
    _ask(tab, "Resume").get_by_role("button").click()
    tab.locator("summary", has_text="Pause").wait_for()
    assert task.status() == "started"

    second = client.upload_orchestration(path=folder("print('second')"), name="job").wait()
    tab.goto(address)
    question = _ask(tab, "Replace")
    question.get_by_label("Orchestration").select_option(second.id())
    question.get_by_label("Arguments").fill("{n: 1}")
    question.get_by_role("button").click()
    assert "The arguments are not JSON" in tab.locator("[role=alert]").text_content()
    tab.get_by_label("Arguments").fill('{"n": 1}')
    tab.locator("form.replace").get_by_role("button").click()
    tab.wait_for_url(address)
    assert (task.orchestration(), task.input_data()) == (second.id(), {"n": 1})

    question = _ask(tab, "Kill")
    assert task.status() == "started"
    question.get_by_role("button").click()
    until(lambda: task.status() == "killed")
    assert [run.status() for run in task.last_runs()] == ["killed"]
    tab.goto(address)
    assert tab.locator("summary").count() == 0


@pytest.fixture
def nights(tmp_path: Path, folder: Callable[..., Path]) -> Iterator[Nights]:
    """A store whose worker is busy for hours after half past two, and in which one task has failed since its code changed.

    Its server, and the ids of its tasks by their names.
    """
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    clock = ManualClock(now - timedelta(days=12))

    def outcome(run: StubRun) -> tuple[str, float]:
        has_failed = run.task_name == "train" and run.started_at > now - timedelta(days=3)
        return ("failure", 20.0) if has_failed else ("success", 700.0 + 200 * (run.number % 5))

    with orchlite.Client(tmp_path / "nights", clock=clock, process=StubProcess(outcome), workers=2) as client:
        one = client.upload_orchestration(path=folder({"main.py": "print(1)", "model.py": "x = 1"}), name="train")
        at_night = f"{now - timedelta(hours=5):%M %H} * * *"
        tasks = [one.run_scheduled(name, at_night, {"rows": 5}, "1h") for name in ("train", *(f"etl {number}" for number in range(9)))]
        tasks.append(one.run_scheduled("hourly", "46 * * * *", {}))
        clock.advance_to(now - timedelta(days=3))
        tasks[0].replace(client.upload_orchestration(path=folder({"main.py": "print(1)", "model.py": "x = 2"}), name="train"))
        clock.advance_to(now)
        ids = {str(task.name()): task.id() for task in tasks}
    with orchlite.Client(tmp_path / "nights") as client, serve(client, port=0, page=page(client)) as server:
        yield server, ids


@pytest.fixture
def window_of_nights(chromium: Any, nights: Nights) -> Iterator[Window]:
    """A window on the page of the nights. At the end, there must have been no fault."""
    with chromium.new_context(timezone_id="Europe/Berlin") as context:
        window = Window(context.new_page(), nights[0])
        yield window
        assert window.faults == []


def _look(window: Window, path: str, folder: Path) -> None:
    """Take pictures of a page, none of which may scroll sideways, and have it checked for barriers."""
    for scheme, width in (("dark", 1280), ("light", 360), ("light", 1600)):
        window.tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        window.tab.set_viewport_size({"width": width, "height": 900})
        window.go(path)
        assert window.tab.evaluate("document.documentElement.scrollWidth") <= width
        window.tab.screenshot(path=folder / f"{path.split('/')[1]}-{scheme}-{width}.png", full_page=True)
        assert window.barriers() == []


def test_what_piles_up_waits_and_is_late_is_seen_on_the_timeline(window_of_nights: Window, tmp_path: Path) -> None:
    _look(window_of_nights, "/timeline", tmp_path)
    tab = window_of_nights.tab
    heights = tab.locator(".columns rect.past").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) > 5 * sorted(heights)[len(heights) // 2]  # everything is due at the same time
    lanes = tab.locator("tr", has=tab.locator("th a", has_text="etl")).all()
    waits = [lane.locator("rect.wait").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)") for lane in lanes]
    assert len(waits) == 9
    assert len({round(max(widths, default=0)) for widths in waits}) >= 4  # one waits for the other
    assert tab.locator(".columns .late").count() > 0
    tab.locator(".columns a", has=tab.locator("rect.past")).nth(heights.index(max(heights))).click()
    assert "hours=2" in tab.url
    assert tab.locator("th a", has_text="etl").count() == 9


def test_a_failed_night_is_explained_on_the_page_of_its_task(window_of_nights: Window, nights: Nights, tmp_path: Path) -> None:
    _look(window_of_nights, f"/tasks/{nights[1]['train']}", tmp_path)
    tab = window_of_nights.tab
    text = tab.locator("#state").inner_text()
    assert "Failing since" in text
    assert "Code changed: model.py" in text
    assert tab.locator(".plot .flag").count() == 1
    tab.set_viewport_size({"width": 360, "height": 900})
    tab.locator("summary", has_text="Replace").click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.locator("#state a").first.click()
    assert "/runs/" in tab.url


def test_the_squares_of_a_task_are_read_with_the_keyboard(window_of_nights: Window) -> None:
    tab = window_of_nights.go("/")
    strip = tab.locator(".strip", has=tab.locator("a")).first
    assert strip.locator("a:not([tabindex='-1'])").count() == 1
    strip.locator("a").last.focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.nextElementSibling === document.activeElement.parentElement.lastElementChild")
    assert tab.locator("#caption").inner_text().startswith("failure 2")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/runs/*")
