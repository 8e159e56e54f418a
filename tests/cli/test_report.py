"""The verb `report`: figures of each task in a period, and a page for a mail that has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import orchlite
from orchlite.testing import ManualClock, StubProcess, StubRun

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_DAY = timedelta(days=1)
_BEGIN = datetime(2026, 3, 6, 12, tzinfo=UTC)
_SINCE = "2026-03-07T12:00+00:00"
_NAME = "<b>&nightly"


def _ends(run: StubRun) -> tuple[str, float]:
    if run.task_name == "flaky":
        return ("failure" if run.number % 2 else "success", 1.0)
    return ("timed_out", 9.0) if run.slot_at and run.slot_at.hour == 3 else ("success", float(run.number))


@pytest.fixture
def figures(store: Path, call: Call, folder: MakeFolder) -> Callable[[], dict[str, dict[str, Any]]]:
    """Four days of the task `<b>&nightly`, of which the first is before the period; return what `report` says of each task."""
    with orchlite.Client(store, clock=(clock := ManualClock(_BEGIN)), process=StubProcess(_ends)) as wl:
        wl.start()
        job = wl.upload_orchestration(path=folder("print(1)"), name="job").wait()
        job.run_scheduled(_NAME, "0 3,15 * * *")
        clock.advance(4 * _DAY)
        job.run_scheduled("never", "0 0 29 2 *", timezone="Asia/Tokyo")
        for _ in range(3):
            job.run_once(retries=1, retry_delay=1, name="flaky")
            clock.advance(timedelta(minutes=1))

    def read() -> dict[str, dict[str, Any]]:
        told = json.loads(call("report", "--since", _SINCE, "--json").stdout)
        assert list(told) == ["since", "until", "tasks", "due"]
        return {task["title"]: task for task in told["tasks"]}

    return read


def test_the_figures_are_those_of_the_period_and_failures_come_first(figures: Callable[[], dict[str, dict[str, Any]]]) -> None:
    tasks = figures()
    assert list(tasks) == [_NAME, "flaky", "never"]
    nightly, flaky, never = tasks.values()
    assert (nightly["outcomes"], nightly["failed"], nightly["longest_seconds"]) == ({"timed_out": 3, "success": 3}, 3, 9)
    assert nightly["last_failure"]["status"] == "timed_out"
    assert (flaky["outcomes"], flaky["failed"], flaky["tried_again"], flaky["tasks"]) == ({"failure": 3, "success": 3}, 0, 3, 3)
    assert (never["runs"], never["median_seconds"], never["last_failure"]) == (0, None, None)


class _Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_a_page_has_nothing_that_a_mail_cannot_carry(call: Call, figures: Callable[[], dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    written = call("report", "--since", _SINCE, "-o", "week.html")
    assert written.stdout == f"{tmp_path / 'week.html'}\n"
    page = _Page((tmp_path / "week.html").read_text(encoding="utf-8"))
    assert page.tags.isdisjoint({"script", "style", "link", "img", "svg", "iframe", "b&nightly"})
    assert page.attributes.isdisjoint({"src", "href", "onload"})
    assert _NAME in page.words
    assert page.words.index("3 timed_out") < page.words.index("3 tried again") < page.words.index("no runs")
    assert "0 0 29 2 * Asia/Tokyo" in page.words
    printed = call("report", "-o", "-").stdout
    assert printed.startswith("<!DOCTYPE html>")
    assert printed.endswith("</html>\n")


def test_the_page_has_metrics_and_the_last_state_of_the_last_lines_of_a_failure(call: Call, folder: MakeFolder) -> None:
    metrics = "import json\nwith open('metrics.json', 'w') as file: json.dump({'auc': 0.5}, file)\n"
    call("run", folder(metrics + "print('\\r 1%\\r\\x1b[31m 2%\\x1b[0m\\x1b[2J'); raise SystemExit('<no>')"), "--name", "broken")
    page = _Page(call("report", "-o", "-").stdout)
    assert "auc 0.5" in page.words
    assert "2%\n<no>" in page.words


@pytest.mark.parametrize(("words", "told"), [([], "-o week.html"), (["-o", "-", "--json"], "both print")], ids=["no file", "two outputs"])
def test_a_report_needs_one_place_to_go(call: Call, store: Path, words: list[str], told: str) -> None:
    orchlite.Client(store).close()
    refused = call("report", *words)
    assert refused.exit_code == 2
    assert told in refused.stderr
