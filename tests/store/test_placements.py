"""Placements: a run that is executed on a cluster, under which claim it gets there, and what is known of it before its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from orchlite.core.records import Claim, Placement, RunRow
from orchlite.core.status import RunStatus
from orchlite.store.store import Store

AddRun = Callable[..., str]

_PLACEMENT = Placement("fake", "job", "session")


def _set(store: Store, run: RunRow) -> bool:
    with store.transaction() as transaction:
        return store.placements.set(transaction, run, _PLACEMENT)


@pytest.fixture
def run(store: Store, add_run: AddRun) -> RunRow:
    """A claimed run."""
    return store.runs.get(add_run(RunStatus.RUNNING))


def test_a_placement_is_read_as_it_was_written(store: Store, run: RunRow) -> None:
    assert run.placement is None
    assert _set(store, run)
    assert store.runs.get(run.run_id).placement == _PLACEMENT


def test_a_run_has_one_placement(store: Store, run: RunRow) -> None:
    assert [_set(store, run), _set(store, run)] == [True, False]


@pytest.mark.parametrize("change", [{"attempt": 2}, {"host_id": "other"}], ids=str)
def test_only_the_claim_that_the_run_has_may_place_it(store: Store, run: RunRow, change: dict[str, object]) -> None:
    assert not _set(store, run._replace(**change))  # type: ignore[arg-type]
    assert store.runs.get(run.run_id).placement is None


def test_a_run_whose_end_was_requested_gets_none(store: Store, run: RunRow) -> None:
    with store.transaction() as transaction:
        assert not store.placements.is_killed(transaction, run.run_id)
        store.runs.request_kill(transaction, run.run_id)
        assert store.placements.is_killed(transaction, run.run_id)
    assert not _set(store, run)


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.SUCCESS])
def test_a_run_that_is_not_running_gets_none(store: Store, add_run: AddRun, status: RunStatus) -> None:
    run = store.runs.get(add_run(status))
    assert not _set(store, run._replace(host_id="host", attempt=run.attempt))


def test_placed_runs_are_found_until_they_end(store: Store, run: RunRow, add_run: AddRun, now: datetime) -> None:
    add_run(RunStatus.RUNNING)
    _set(store, run)
    assert [each.run_id for each in store.placements.running()] == [run.run_id]
    assert [each.run_id for each in store.placements.of_host("host")] == [run.run_id]
    assert store.placements.of_host("other") == []
    with store.transaction() as transaction:
        store.runs.adopt(transaction, run.run_id, "host", "other")
    assert [each.run_id for each in store.placements.of_host("other")] == [run.run_id]


def test_a_report_is_the_reason_of_a_placed_run_and_an_event(store: Store, run: RunRow, now: datetime) -> None:
    _set(store, run)
    for text in ("it is out of reach", "it is out of reach", None):
        with store.transaction() as transaction:
            store.placements.report(transaction, run.run_id, text, now)
        assert store.runs.get(run.run_id).reason == text
    assert [(event.became, event.reason) for event in store.events.newest(1)] == [("reported", "it is out of reach")]


def test_a_report_of_a_run_without_a_placement_is_dropped(store: Store, run: RunRow, now: datetime) -> None:
    with store.transaction() as transaction:
        store.placements.report(transaction, run.run_id, "it is out of reach", now)
    assert store.runs.get(run.run_id).reason is None


def test_the_reason_of_a_queued_run_is_gone_with_the_next_claim(store: Store, add_run: AddRun, now: datetime) -> None:
    run_id = add_run()
    with store.transaction() as transaction:
        store.placements.explain_wait(transaction, run_id, "it is out of reach")
    assert store.runs.get(run_id).reason == "it is out of reach"
    with store.transaction() as transaction:
        assert store.runs.claim(transaction, run_id, Claim("host", "boot", now)).reason is None
