"""Runs that are repeated on request, as they were started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchlite import BadArgument, Client, IllegalMove, Orchestration
from orchlite.testing import ManualClock, StubProcess

OpenClient = Callable[..., Client]
Travel = Callable[..., Orchestration]
MakeFolder = Callable[..., Path]

_START = datetime(2026, 3, 1, tzinfo=UTC)
_PROGRAM = """
import os, orchlite
print(orchlite.task_args(), os.environ["COLOUR"], os.environ.get("PASSED"), os.environ["ORCHLITE_SCHEDULED_AT"])
"""


def test_a_run_is_repeated_as_a_task_of_its_own(travel: Travel, clock: ManualClock) -> None:
    task = travel("failure").run_scheduled("nightly", "@daily", {"n": 1}, 60)
    clock.advance(days=1)
    [failed] = task.last_runs()
    run = failed.rerun()
    assert (run.status(), run.rerun_of(), run.scheduled_at()) == ("failure", failed.id(), None)
    assert (run.orchestration(), run.input_data(), run.timeout()) == (failed.orchestration(), {"n": 1}, 60)
    assert run.task() != task.id()
    assert (task.last_runs(), task.next_run_at()) == ([failed], _START + timedelta(days=2))


def test_a_rerun_gets_other_arguments_on_request(travel: Travel) -> None:
    [run] = travel().run_once("sums", {"n": 1}, 60).last_runs()
    again = run.rerun({"n": 2})
    assert (again.input_data(), again.timeout(), again.rerun_of(), run.input_data()) == ({"n": 2}, 60, run.id(), {"n": 1})
    with pytest.raises(BadArgument, match="json_args"):
        run.rerun([1])  # type: ignore[arg-type]


def test_a_rerun_gets_the_variables_and_the_slot_of_the_first_run(
    open_client: OpenClient, clock: ManualClock, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED", "on")
    first = open_client(clock=clock, env={"COLOUR": "red"}, env_passthrough=["PASSED"])
    task = first.upload_orchestration(path=folder(_PROGRAM)).wait(60).run_scheduled("nightly", "@daily", {"n": 1})
    clock.advance(days=1)
    first.close()
    again = open_client(clock=clock, env={"COLOUR": "blue"}).get_task_by_id(task.id()).last_runs()[0].rerun().wait(20)
    assert str(again.logs()) == "{'n': 1} red on 2026-03-02T00:00:00+00:00\n"
    assert str(again.rerun().wait(20).logs()) == str(again.logs())


def test_a_rerun_of_a_replaced_task_runs_what_ran_then(open_client: OpenClient, clock: ManualClock, folder: MakeFolder) -> None:
    client = open_client(clock=clock, process=StubProcess())
    old, new = (client.upload_orchestration(path=folder(f"print({number})")) for number in (1, 2))
    task = old.run_scheduled("nightly", "@daily", {"n": 1})
    clock.advance(days=1)
    task.replace(new, json_args={"n": 2})
    run = task.last_runs()[0].rerun()
    assert (run.orchestration(), run.input_data()) == (old.id(), {"n": 1})


def test_a_skipped_slot_can_be_run_later(travel: Travel, clock: ManualClock) -> None:
    task = travel().run_scheduled("nightly", "@daily")
    task.pause()
    clock.advance(days=1)
    task.resume()
    [skipped] = task.last_runs(status="skipped")
    assert skipped.rerun().status() == "success"


def test_what_was_queued_for_want_of_a_worker_slot_is_a_rerun_too(travel: Travel, clock: ManualClock) -> None:
    orchestration = travel("success", 60, workers=1)
    first = orchestration.run_once().last_runs()[0]
    again = first.rerun()
    assert (again.status(), again.rerun_of()) == ("queued", first.id())
    clock.advance(minutes=2)
    assert again.status() == "success"


def test_a_rerun_that_fails_is_tried_again_as_the_first_run_was(travel: Travel, clock: ManualClock) -> None:
    task = travel("failure").run_once(retries=1, retry_delay="5m")
    clock.advance(minutes=5)
    again = task.last_runs()[0].rerun()
    assert (again.status(), again.try_number()) == ("failure", 1)
    clock.advance(minutes=5)
    following = again.next_try()
    assert following is not None
    assert (following.status(), following.try_number(), following.next_try()) == ("failure", 2, None)


def test_packaging_is_not_repeated(client: Client, smallest_bundle: bytes) -> None:
    packaging = client.upload_orchestration(smallest_bundle).wait(20).task().last_runs()[0]
    with pytest.raises(IllegalMove, match="packaging"):
        packaging.rerun()
