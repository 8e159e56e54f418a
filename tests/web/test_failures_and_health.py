"""The pages of failures and of health."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.testing import ManualClock, StubProcess

Browsers = Callable[..., Any]
Seen = Callable[[str], str]
Until = Callable[[Callable[[], object]], None]


def test_failures_are_in_groups_with_the_newest_run(clock: ManualClock, browser_of: Browsers, smallest_bundle: bytes, seen: Seen) -> None:
    with orchlite.Client.temporary(clock=clock, process=StubProcess("failure")) as client:
        browser = browser_of(client).log_in()
        assert "Nothing has failed in the last 7 days." in seen(browser.get("/failures"))
        runs = [client.upload_orchestration(smallest_bundle).wait().run_once(name).wait() for name in ("<b>", "other")]
        page = browser.get("/failures")
        assert "2 failures in the last 7 days" in seen(page)
        assert "exit code 1 other , <b> 2 runs since" in seen(page)
        assert "<b>" not in page
        assert page.index(f'href="/runs/{runs[1].id()}"') < page.index(f'href="/runs/{runs[0].id()}"')
        clock.advance(timedelta(days=8))
        assert "Nothing has failed in the last 7 days." in seen(browser.get("/failures?days=7"))
        assert "2 failures in the last 30 days" in seen(browser.get("/failures?days=30"))
        assert "Nothing has failed in the last 7 days." in seen(browser.get("/failures?days=2&workspace=default"))


@pytest.mark.slow
def test_health_is_examined_in_the_background(
    browser: Any, store: orchlite.Client, smallest_bundle: bytes, seen: Seen, until: Until
) -> None:
    store.upload_orchestration(smallest_bundle, name="scoring")
    assert "being examined" in browser.get("/health")
    until(lambda: "being examined" not in browser.get("/health"))
    text = seen(browser.get("/health"))
    assert "There are no schedules to keep." in text
    assert f"store {engine_of(store).context.folder.path} is intact." in text
    assert "scoring 1" in text
    assert "Nothing is pruned by itself." in text
    store.list_orchestrations()[0].run_scheduled("nightly", "@daily")
    assert f"Process {os.getpid()} keeps the schedules of 1 task, last seen" in seen(browser.get("/health"))
    assert browser.post("/health/store").headers["location"] == "/health"
    browser.post("/health/other")
