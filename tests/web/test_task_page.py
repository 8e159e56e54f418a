"""The page of a task: what it shows, and its buttons."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.testing import ManualClock, StubProcess, StubRun
from tests.web.conftest import Browser

_HOSTILE = "<script>alert(1)</script>"
Seen = Callable[[str], str]


@pytest.fixture
def nightly(store: orchlite.Client, smallest_bundle: bytes, clock: ManualClock) -> orchlite.Task:
    """A task that is due at half past two, and has run for two nights."""
    orchestration = store.upload_orchestration(smallest_bundle, name="train")
    task = orchestration.run_scheduled("nightly", "30 2 * * *", {"date": "today"}, "1h30m")
    clock.advance(days=2)
    return task


def _entered(task: orchlite.Task, **changes: str) -> dict[str, str]:
    """What the form of the task sends, by default unchanged."""
    arguments = json.dumps(task.input_data(), indent=2).replace("\n", "\r\n")
    fields = {"orchestration": task.orchestration(), "schedule": task.schedule() or "", "timezone": task.timezone() or ""}
    return {**fields, "timeout": "1h30m", "arguments": arguments, **changes}


def _buttons(browser: Browser, task: orchlite.Task) -> list[str]:
    return re.findall(r"<summary[^>]*>([^<]*)", browser.get(f"/tasks/{task.id()}"))


def test_says_when_the_task_is_due_and_what_it_runs(browser: Browser, nightly: orchlite.Task, seen: Seen) -> None:
    page = browser.get(f"/tasks/{nightly.id()}")
    text = seen(page)
    assert "Every day at 02:30 , UTC 30 2 * * *" in text
    assert "2026-03-03 02:30 UTC in 2 h 30 min" in text
    assert page.count('<li><time datetime="2026-03-0') == 5
    assert '"date": "today"' in text
    assert "Time limit 1 h 30 min" in text
    assert "2 runs, up to 1 min 30 s, median 1 min 30 s, time limit 1 h 30 min" in text


def test_lists_its_runs_and_links_them(browser: Browser, nightly: orchlite.Task) -> None:
    page = browser.get(f"/tasks/{nightly.id()}")
    assert all(f'href="/runs/{run.id()}"' in page for run in nightly.last_runs())


def test_a_long_list_of_runs_has_pages(browser: Browser, nightly: orchlite.Task, clock: ManualClock) -> None:
    clock.advance(days=50)
    page = browser.get(f"/tasks/{nightly.id()}")
    older = page.split('rel="next"')[0].rpartition('href="')[2].split('"')[0]
    ids = [run.id() for run in nightly.last_runs()]
    assert f'class="id" href="/runs/{ids[49]}"' in page
    assert f'class="id" href="/runs/{ids[50]}"' not in page
    assert f'class="id" href="/runs/{ids[51]}"' in browser.get(older)


def test_a_failing_task_says_since_when_and_what_changed_before(
    clock: ManualClock, folder: Callable[..., Path], browser_of: Callable[..., Browser], seen: Seen
) -> None:
    def outcome(run: StubRun) -> str:
        return "success" if run.number < 3 else "failure"

    with orchlite.Client.temporary(clock=clock, process=StubProcess(outcome)) as client:
        task = client.upload_orchestration(path=folder("print(1)")).run_scheduled("nightly", "30 2 * * *", {})
        clock.advance(days=2)
        task.replace(client.upload_orchestration(path=folder("print(2)")))
        clock.advance(days=2)
        text = seen(browser_of(client).log_in().get(f"/tasks/{task.id()}"))
    assert "Failure: exit code 1" in text
    assert "Failing since 2026-03-03 02:30 UTC (2 runs in a row); the last success was 2026-03-02 02:30 UTC ." in text
    assert "Before the first failure: Code changed: main.py." in text


def test_has_the_buttons_that_its_status_allows(browser: Browser, nightly: orchlite.Task) -> None:
    assert _buttons(browser, nightly) == ["Run now", "Pause", "Replace…", "Kill"]
    browser.post(f"/tasks/{nightly.id()}/pause")
    assert _buttons(browser, nightly) == ["Run now", "Resume", "Replace…", "Kill"]
    assert "Nothing is due: the task is paused." in browser.get(f"/tasks/{nightly.id()}")
    browser.post(f"/tasks/{nightly.id()}/kill")
    assert _buttons(browser, nightly) == []


def test_a_read_only_server_shows_no_buttons(store: orchlite.Client, nightly: orchlite.Task, browser_of: Callable[..., Browser]) -> None:
    assert _buttons(browser_of(store, read_only=True).log_in(), nightly) == []


class TestReplacing:
    def test_changes_what_was_changed_and_keeps_the_rest(
        self, browser: Browser, store: orchlite.Client, nightly: orchlite.Task, folder: Callable[..., Path]
    ) -> None:
        other = store.upload_orchestration(path=folder("print(2)"), name="train").wait()
        browser.post(
            f"/tasks/{nightly.id()}/replace",
            **_entered(nightly, orchestration=other.id(), schedule="0 4 * * 1-5", arguments='{"n": 1}', timeout=""),
        )
        assert (nightly.orchestration(), nightly.schedule(), nightly.timezone()) == (other.id(), "0 4 * * 1-5", "UTC")
        assert (nightly.input_data(), nightly.timeout()) == ({"n": 1}, None)

    def test_of_nothing_changes_nothing(self, browser: Browser, store: orchlite.Client, nightly: orchlite.Task) -> None:
        before = nightly.updated_at()
        browser.post(f"/tasks/{nightly.id()}/replace", **_entered(nightly))
        assert nightly.updated_at() == before

    @pytest.mark.parametrize(
        ("field", "text", "message"),
        [
            ("arguments", "{date: today}", "The arguments are not JSON"),
            ("arguments", "[1]", "arguments"),
            ("schedule", "60 * * * *", "The minute &#39;60&#39; is out of range"),
            ("timeout", "soon", "timeout is &#39;soon&#39;"),
            ("orchestration", "gone", "There is no orchestration &#39;gone&#39;"),
        ],
    )
    def test_that_is_refused_says_why_and_keeps_what_was_entered(
        self, browser: Browser, nightly: orchlite.Task, field: str, text: str, message: str
    ) -> None:
        page = browser.post(f"/tasks/{nightly.id()}/replace", 400, **_entered(nightly, **{field: text})).text
        assert message in page
        assert '<details class="ask" open>' in page
        assert field == "orchestration" or text in page

    def test_offers_what_is_packaged_of_the_same_name_first(
        self, browser: Browser, store: orchlite.Client, nightly: orchlite.Task, folder: Callable[..., Path]
    ) -> None:
        newer = store.upload_orchestration(path=folder("print(2)"), name="train").wait()
        other = store.upload_orchestration(path=folder("print(3)"), name="other").wait()
        page = browser.get(f"/tasks/{nightly.id()}")
        assert [part[:36] for part in page.split('<option value="')[1:]] == [newer.id(), nightly.orchestration(), other.id()]


def test_what_is_hostile_is_text(store: orchlite.Client, smallest_bundle: bytes, clock: ManualClock, browser: Browser) -> None:
    orchestration = store.upload_orchestration(smallest_bundle, name=_HOSTILE)
    task = orchestration.run_scheduled(_HOSTILE, "30 2 * * *", {"x": _HOSTILE}, env={"A": _HOSTILE}, on_failure=[_HOSTILE])
    clock.advance(timedelta(days=1))
    page = browser.get(f"/tasks/{task.id()}")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_one_shot_task_has_a_page(browser: Browser, store: orchlite.Client, smallest_bundle: bytes, seen: Seen) -> None:
    task = store.upload_orchestration(smallest_bundle).run_once()
    assert "No runs yet" not in seen(browser.get(f"/tasks/{task.id()}"))


def test_a_task_that_is_not_there_is_not_found(browser: Browser) -> None:
    browser.get("/tasks/none", 404)
