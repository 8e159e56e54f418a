"""`wl.events()`: what happened to which object, when and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import orchlite

MakeFolder = Callable[..., Path]


def test_the_events_of_a_run_are_in_order(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
    run = orchestration.run_once().wait()
    of_orchestration = [(event.was(), event.became()) for event in client.events() if event.object_id() == orchestration.id()]
    assert of_orchestration == [(None, "pending_packaging"), ("pending_packaging", "packaging"), ("packaging", "ready")]
    [*begun, ended] = [event for event in client.events() if event.object_id() == run.id()]
    assert [event.became() for event in begun][-1] == "running"
    assert (ended.kind(), ended.was(), ended.became(), ended.at()) == ("run", "running", "success", run.ended_at())


def test_a_program_continues_after_the_last_event_it_saw(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder("print(1)"))
    seen = client.events()
    assert [event.id() for event in seen] == sorted({event.id() for event in seen})
    assert client.events(after=seen[-1].id()) == []
    client.run(folder("print(2)"))
    assert client.events(after=seen[-1].id()) == client.events()[len(seen) :] != []


def test_a_limit_returns_the_first_events(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder("print(1)"))
    everything = client.events()
    assert client.events(limit=2) == everything[:2]
    assert client.events(after=everything[1].id(), limit=1) == everything[2:3]
    assert client.events(limit=2, newest_first=True) == everything[:-3:-1]
    assert client.events(everything[-2].id(), newest_first=True) == everything[-1:]


def test_events_can_be_selected_by_time(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder("print(1)"))
    everything = client.events()
    assert client.events(after=everything[0].at()) == [event for event in everything if event.at() > everything[0].at()]
    assert client.events(everything[0].at(), limit=1, newest_first=True) == everything[-1:]
    assert client.events(after=datetime.now(UTC) + timedelta(days=1)) == []


@pytest.mark.parametrize("after", ["yesterday", -1, 1.5, True, datetime(2026, 1, 1)], ids=repr)
def test_a_value_that_is_neither_number_nor_time_is_refused(client: orchlite.Client, after: object) -> None:
    with pytest.raises(orchlite.BadArgument) as caught:
        client.events(after=after)  # type: ignore[arg-type]
    assert caught.value.details["argument"] == "after"


def test_a_notebook_shows_them_as_a_table(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder("print(1)"))
    table = client.events()
    assert "<th>became</th>" in table._repr_html_()
    assert "success" in repr(table[-1])
