"""The start page: what it lists first, what it says about it, and its buttons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.testing import ManualClock, StubProcess
from orchlite.testing.stub import StubRun

Seen = Callable[[str], str]


def _decide(run: StubRun) -> str:
    return "failure" if "bad" in (run.task_name or "") else "success"


@pytest.fixture
def store(clock: ManualClock, temporary_client: Callable[..., orchlite.Client]) -> Iterator[orchlite.Client]:
    """A client with simulated runs, of which those of tasks with `bad` in their name fail."""
    with temporary_client(clock=clock, process=StubProcess(_decide)) as client:
        yield client


@pytest.fixture
def report(store: orchlite.Client, smallest_bundle: bytes) -> orchlite.Orchestration:
    return store.upload_orchestration(smallest_bundle, name="report")


def _titles(html: str) -> list[str]:
    return re.findall(r"<h2><a [^>]*>([^<]*)</a></h2>", html)


def _task_of(client: orchlite.Client, name: str) -> orchlite.Task:
    return next(task for task in client.list_tasks() if task.name() == name)


def test_tasks_that_need_a_person_come_first(browser: Any, report: orchlite.Orchestration, clock: ManualClock) -> None:
    for name in ("b", "a", "z bad"):
        report.run_scheduled(name, "30 2 * * *")
    clock.advance(timedelta(days=3))
    assert _titles(browser.get("/")) == ["z bad", "a", "b"]


def test_a_failing_task_says_since_when_and_why(browser: Any, seen: Seen, report: orchlite.Orchestration, clock: ManualClock) -> None:
    report.run_scheduled("bad", "30 2 * * *")
    clock.advance(timedelta(days=3))
    text = seen(browser.get("/"))
    assert "1 task failing. 1 failed run since yesterday" in text
    assert "exit code 1 3 failures in a row, since 2026-03-01 02:30 UTC" in text


def test_two_clicks_lead_from_the_start_page_to_a_failed_night(browser: Any, report: orchlite.Orchestration, clock: ManualClock) -> None:
    task = report.run_scheduled("bad", "30 2 * * *")
    clock.advance(timedelta(days=1))
    run = task.last_runs()[0]
    found = re.search(r'<a class="bad" href="([^"]*)">exit code 1</a>', browser.get("/"))
    assert found is not None
    assert found[1] == f"/runs/{run.id()}"
    assert "failure" in browser.get(found[1])


def test_a_task_that_recovered_is_no_longer_failing(
    browser: Any, seen: Seen, store: orchlite.Client, report: orchlite.Orchestration, clock: ManualClock
) -> None:
    report.run_once("bad")
    report.run_once("good")
    text = seen(browser.get("/"))
    assert "No task failing. 1 failed run since yesterday" in text
    assert "once, by 2 tasks" in text


def test_schedules_that_nobody_keeps_are_announced(browser_of: Any, seen: Seen, open_client: Any, smallest_bundle: bytes) -> None:
    client = open_client()
    client.upload_orchestration(smallest_bundle).wait().run_once().wait()
    viewer = browser_of(client).log_in()
    assert "Nobody keeps" not in viewer.get("/")
    client.upload_orchestration(smallest_bundle).run_scheduled("nightly", "30 2 * * *")
    client.close(drain=False)
    other = open_client()
    assert "Nobody keeps the schedule. Run orchlite start ." in seen(browser_of(other).log_in().get("/"))


def test_a_schedule_that_nobody_keeps_says_how_late_it_is(
    browser_of: Any, seen: Seen, tmp_path: Path, clock: ManualClock, smallest_bundle: bytes
) -> None:
    with orchlite.Client(tmp_path / "store", clock=clock, process=StubProcess()) as first:
        first.upload_orchestration(smallest_bundle).wait().run_scheduled("nightly", "30 2 * * *")
    later = ManualClock(clock.now() + timedelta(hours=4, minutes=10))
    with orchlite.Client(tmp_path / "store", clock=later) as second:
        text = seen(browser_of(second).log_in().get("/"))
    assert "Nobody keeps the schedule. nightly was due 1 h 40 min ago . Run orchlite start ." in text
    assert "overdue 1 h 40 min ago" in text


@pytest.mark.slow
def test_packaging_that_failed_is_announced_until_a_later_upload_is_ready(
    browser_of: Any, seen: Seen, tmp_path: Path, folder: Any, smallest_bundle: bytes
) -> None:
    with orchlite.Client(tmp_path / "store", index_urls=[tmp_path.as_uri()]) as client:  # an empty index
        viewer = browser_of(client).log_in()
        with pytest.raises(orchlite.PackagingFailed):
            client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": "absent==1.0"}), name="report").wait()
        text = seen(viewer.get("/"))
        assert "Packaging of report failed." in text
        assert "No task failing" not in text
        client.upload_orchestration(smallest_bundle, name="report").wait()
        assert "Packaging of" not in seen(viewer.get("/"))


def test_what_is_due_next_is_said_in_words(browser: Any, seen: Seen, report: orchlite.Orchestration) -> None:
    report.run_scheduled("nightly", "30 2 * * *", timezone="Europe/Berlin")
    text = seen(browser.get("/"))
    assert "every day at 02:30, Europe/Berlin" in text
    assert "next in 1 h 30 min 2026-03-01 01:30 UTC" in text


def test_a_page_has_fifty_tasks(browser: Any, report: orchlite.Orchestration) -> None:
    for number in range(51):
        report.run_scheduled(f"{number:02}", "30 2 * * *")
    first, second = browser.get("/"), browser.get("/?page=2")
    assert _titles(first) == [f"{number:02}" for number in range(50)]
    assert _titles(second) == ["50"]
    assert "Page 1 of 2" in first


def test_a_search_finds_names_and_ids_one_shot_and_killed_tasks_included(browser: Any, report: orchlite.Orchestration) -> None:
    nightly, once, killed = (
        report.run_scheduled("Nightly", "30 2 * * *"),
        report.run_once("by night"),
        report.run_scheduled("k", "0 0 * * *"),
    )
    killed.kill()
    assert _titles(browser.get("/?q=night")) == ["Nightly", "by night"]
    assert _titles(browser.get(f"/?q={once.id()[:8]}")) == ["by night"]
    assert _titles(browser.get(f"/?q={killed.id()}")) == ["k"]
    assert nightly.id() in browser.get(f"/?q={nightly.id()[:8].upper()}")
    assert "No task has “&lt;b&gt;” in its name" in browser.get("/?q=<b>")


def test_a_workspace_is_shown_alone(browser: Any, store: orchlite.Client, smallest_bundle: bytes, report: orchlite.Orchestration) -> None:
    report.run_scheduled("here", "30 2 * * *")
    store.set_current_workspace(store.create_workspace("other"))
    store.upload_orchestration(smallest_bundle, name="other").run_scheduled("there", "30 2 * * *")
    assert _titles(browser.get("/")) == ["here", "there"]
    page = browser.get("/?workspace=other")
    assert _titles(page) == ["there"]
    assert 'href="/timeline?workspace=other"' in page


def test_a_task_is_run_paused_and_resumed(browser: Any, store: orchlite.Client, report: orchlite.Orchestration) -> None:
    task = report.run_scheduled("nightly", "30 2 * * *")
    ran = browser.post(f"/tasks/{task.id()}/run")
    assert ran.headers["location"] == f"/runs/{task.last_runs()[0].id()}"
    paused = browser.post(f"/tasks/{task.id()}/pause", back="/?q=night&page=1")
    assert (paused.headers["location"], task.status()) == ("/?q=night&page=1", "paused")
    assert "Resume" in browser.get("/")
    browser.post(f"/tasks/{task.id()}/resume")
    assert task.status() == "started"
    browser.post(f"/tasks/{task.id()}/kill")
    assert task.status() == "killed"
    assert "killed" in browser.post(f"/tasks/{task.id()}/resume", 409).text


def test_the_newest_one_shot_run_is_run_again(browser: Any, store: orchlite.Client, report: orchlite.Orchestration) -> None:
    first = report.run_once("adhoc", {"day": 1}).last_runs()[0]
    ran = browser.post(f"/tasks/{first.task()}/run")
    again = store.get_task_run_by_id(ran.headers["location"].removeprefix("/runs/"))
    assert (again.rerun_of(), again.input_data()) == (first.id(), {"day": 1})


def test_hostile_names_are_shown_as_text(browser: Any, seen: Seen, report: orchlite.Orchestration) -> None:
    name = "<script>alert(1)</script>\"'& {{ 7 * 7 }}"
    report.run_scheduled(name, "30 2 * * *")
    page = browser.get("/")
    assert name in seen(page.replace("&lt;", "‹").replace("&gt;", "›")).replace("‹", "<").replace("›", ">")
    assert "<script>alert" not in page


def test_a_read_only_page_refuses_actions(browser_of: Any, store: orchlite.Client, report: orchlite.Orchestration) -> None:
    task = report.run_scheduled("nightly", "30 2 * * *")
    viewer = browser_of(store, read_only=True).log_in()
    assert "formaction" not in viewer.get("/")
    refused = viewer.post(f"/tasks/{task.id()}/pause", 403)
    assert ("read-only" in refused.text, task.status()) == (True, "started")


def test_an_empty_store_says_how_to_begin(browser: Any, seen: Seen) -> None:
    assert "Nothing has run, and nothing is scheduled." in seen(browser.get("/"))
