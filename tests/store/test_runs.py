"""Runs in the store: the queue, claims, and the transitions of their status."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.records import Claim, OrchestrationRow, RunResult, RunRow, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus, targets_of
from orchlite.operations import outcome
from orchlite.store.database import Database, Transaction
from orchlite.store.store import Store

_LEGAL = [pytest.param(was, target, id=f"{was}-{target}") for was in RunStatus for target in RunStatus if target in targets_of(was)]
_EVERY_STATUS = [pytest.param(status, id=status) for status in RunStatus]

_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _events(database: Database, object_id: str) -> list[tuple[str | None, str]]:
    rows = database.rows("SELECT was, became FROM events WHERE object_id = ? ORDER BY event_id", (object_id,))
    return [tuple(row) for row in rows]


def _move(store: Store, transaction: Transaction, run_id: str, target: RunStatus, at: datetime) -> None:
    """Change the status by the method for it."""
    match target:
        case RunStatus.RUNNING:
            store.runs.claim(transaction, run_id, Claim("another host", "boot", at))
        case RunStatus.QUEUED:
            store.runs.requeue(transaction, run_id, at, "because")
        case _:
            store.runs.end(transaction, run_id, RunResult(target, 3, at, at, 1.5, "because", log_complete=False))


@pytest.mark.parametrize(("was", "target"), _LEGAL)
def test_every_legal_transition_is_made_and_recorded(
    store: Store, database: Database, add_run: Callable[..., str], now: datetime, was: RunStatus, target: RunStatus
) -> None:
    run_id = add_run(was)
    noted = _events(database, run_id)
    with store.transaction() as transaction:
        _move(store, transaction, run_id, target, now)
    assert store.runs.get(run_id).status is target
    assert _events(database, run_id) == [*noted, (was, target)]


@pytest.mark.parametrize("was", _EVERY_STATUS)
def test_every_other_transition_is_refused_and_changes_nothing(
    store: Store, database: Database, add_run: Callable[..., str], now: datetime, was: RunStatus
) -> None:
    run_id = add_run(was)
    before, noted = store.runs.get(run_id), _events(database, run_id)
    for target in set(RunStatus) - targets_of(was):
        with pytest.raises(IllegalMove, match=f"is {was}") as refusal, store.transaction() as transaction:
            _move(store, transaction, run_id, target, now)
        assert (refusal.value.details["status"], refusal.value.details["run_id"]) == (was, run_id)
    assert store.runs.get(run_id) == before
    assert _events(database, run_id) == noted


@pytest.mark.parametrize("target", [RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.SUCCESS], ids=["claim", "requeue", "end"])
def test_a_missing_run_has_no_transition(store: Store, now: datetime, target: RunStatus) -> None:
    with pytest.raises(IllegalMove) as refusal, store.transaction() as transaction:
        _move(store, transaction, "absent", target, now)
    assert refusal.value.details["status"] is None


def test_an_unknown_id_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="'absent'"):
        store.runs.get("absent")


def test_a_queued_run_knows_nothing_but_its_submission(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    run = store.runs.get(add_run())
    assert (run.status, run.attempt, run.created_at) == (RunStatus.QUEUED, 0, now)
    assert (run.host_id, run.boot_id, run.claimed_at, run.started_at, run.ended_at) == (None,) * 5
    assert (run.duration_seconds, run.exit_code, run.reason, run.kill_requested, run.log_complete) == (None, None, None, False, True)


def test_a_claim_is_an_attempt_and_names_its_host(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    run_id = add_run()
    later = now + timedelta(seconds=1)
    with store.transaction() as transaction:
        claimed = store.runs.claim(transaction, run_id, Claim("me", "this boot", later))
    assert claimed == store.runs.get(run_id)
    assert (claimed.attempt, claimed.host_id, claimed.boot_id, claimed.claimed_at) == (1, "me", "this boot", later)


def test_a_requeued_run_has_no_host_and_its_next_claim_is_another_attempt(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    run_id = add_run(RunStatus.RUNNING)
    with store.transaction() as transaction:
        store.runs.requeue(transaction, run_id, now, "its host is gone")
    again = store.runs.get(run_id)
    assert (again.attempt, again.host_id, again.boot_id, again.claimed_at) == (1, None, None, None)
    with store.transaction() as transaction:
        assert store.runs.claim(transaction, run_id, Claim("me", "boot", now)).attempt == 2


def test_the_result_is_kept_as_it_was_given(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    run_id = add_run(RunStatus.RUNNING)
    ended = now + timedelta(seconds=2)
    with store.transaction() as transaction:
        store.runs.end(transaction, run_id, RunResult(RunStatus.FAILURE, 3, now, ended, 1.5, "because", log_complete=False), attempt=2)
    run = store.runs.get(run_id)
    assert (run.status, run.exit_code, run.started_at, run.ended_at) == (RunStatus.FAILURE, 3, now, ended)
    assert (run.duration_seconds, run.reason, run.log_complete, run.attempt) == (1.5, "because", False, 2)


def test_many_threads_that_claim_the_same_runs_get_each_of_them_once(store: Store, add_run: Callable[..., str], now: datetime) -> None:
    queued = {add_run() for _ in range(40)}
    claimed: list[str] = []
    begin = threading.Barrier(4)

    def work() -> None:
        begin.wait()
        while (run_id := store.runs.next_claimable("host", _NOW, whole_store=False)) is not None:
            try:
                with store.transaction() as transaction:
                    store.runs.claim(transaction, run_id, Claim("host", "boot", now))
            except IllegalMove:
                continue
            claimed.append(run_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(queued)
    assert set(claimed) == queued
    assert {store.runs.get(run_id).attempt for run_id in queued} == {1}


class TestTheQueue:
    def test_goes_by_the_order_of_submission(self, store: Store, add_run: Callable[..., str], now: datetime) -> None:
        submitted = [add_run() for _ in range(3)]
        served = []
        while (run_id := store.runs.next_claimable("host", _NOW, whole_store=False)) is not None:
            served.append(run_id)
            with store.transaction() as transaction:
                store.runs.claim(transaction, run_id, Claim("host", "boot", now))
        assert served == submitted

    def test_offers_a_host_its_own_submissions(self, store: Store, add_run: Callable[..., str]) -> None:
        add_run(host="another")
        mine = add_run(host="me")
        assert store.runs.next_claimable("me", _NOW, whole_store=False) == mine

    def test_offers_a_host_that_serves_the_whole_store_all_submissions(self, store: Store, add_run: Callable[..., str]) -> None:
        oldest = add_run(host="another")
        add_run(host="me")
        assert store.runs.next_claimable("me", _NOW, whole_store=True) == oldest

    @pytest.mark.parametrize("status", [pytest.param(status, id=status) for status in OrchestrationStatus])
    def test_holds_runs_that_wait_for_packaging(
        self,
        store: Store,
        add_orchestration: Callable[..., OrchestrationRow],
        add_task: Callable[..., TaskRow],
        add_run: Callable[..., str],
        status: OrchestrationStatus,
    ) -> None:
        run_id = add_run(task=add_task(orchestration=add_orchestration(status)))
        assert store.runs.next_claimable("host", _NOW, whole_store=False) == (run_id if status is OrchestrationStatus.READY else None)

    def test_offers_packaging_before_the_runs_that_wait_for_it(
        self,
        store: Store,
        add_orchestration: Callable[..., OrchestrationRow],
        add_task: Callable[..., TaskRow],
        add_run: Callable[..., str],
    ) -> None:
        orchestration = add_orchestration(OrchestrationStatus.PENDING_PACKAGING)
        add_run(task=add_task(orchestration=orchestration))
        packaging = add_run(task=add_task(kind=TaskKind.PACKAGING, orchestration=orchestration))
        assert store.runs.next_claimable("host", _NOW, whole_store=False) == packaging

    def test_keeps_the_position_of_a_requeued_run(self, store: Store, add_run: Callable[..., str], now: datetime) -> None:
        returned = add_run(RunStatus.RUNNING)
        add_run()
        with store.transaction() as transaction:
            store.runs.requeue(transaction, returned, now, "its host is gone")
        assert store.runs.next_claimable("host", _NOW, whole_store=False) == returned

    def test_can_be_handed_over(self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]) -> None:
        task = add_task()
        queued, running = add_run(task=task, host="another"), add_run(RunStatus.RUNNING, task=task, host="another")
        with store.transaction() as transaction:
            store.runs.hand_over(transaction, task.task_id, "me")
        assert store.runs.next_claimable("me", _NOW, whole_store=False) == queued
        assert [run.run_id for run in store.runs.unfinished_submitted_by("another")] == [running]


def test_a_running_run_is_adopted_by_one_host_only(store: Store, add_run: Callable[..., str]) -> None:
    run_id = add_run(RunStatus.RUNNING, host="dead")
    with store.transaction() as transaction:
        assert store.runs.adopt(transaction, run_id, "dead", "heir")
        assert not store.runs.adopt(transaction, run_id, "dead", "late heir")
    assert store.runs.get(run_id).host_id == "heir"


def test_the_claim_of_a_run_starts_its_task(
    store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str], now: datetime
) -> None:
    task = add_task()
    run_id = add_run(task=task)
    with store.transaction() as transaction:
        store.claim(transaction, run_id, Claim("host", "boot", now))
    assert store.tasks.get(task.task_id).status is TaskStatus.STARTED


def test_a_run_may_be_claimed_as_it_is_submitted(store: Store, database: Database, add_task: Callable[..., TaskRow], now: datetime) -> None:
    run = RunRow("run", add_task().task_id, RunStatus.RUNNING, 1, "me", "me", "boot", now, now, None, None, None, None, None, False, True)
    with store.transaction() as transaction:
        store.runs.insert_claimed(transaction, run)
    assert store.runs.get("run") == run
    assert _events(database, "run") == [(None, RunStatus.RUNNING)]
    assert store.runs.next_claimable("me", _NOW, whole_store=True) is None


class TestTheEndOfAKilledTask:
    """A task becomes `killed` when its last run ends."""

    @pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
    def test_waits_for_its_unfinished_runs(
        self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str], now: datetime, status: RunStatus
    ) -> None:
        task = add_task(TaskStatus.PENDING_KILL)
        run_id = add_run(status, task=task)
        add_run(RunStatus.SUCCESS, task=task)
        with store.transaction() as transaction:
            outcome.advance_task(store, transaction, task.task_id, now)
            assert store.tasks.status(transaction, task.task_id) is TaskStatus.PENDING_KILL
            store.runs.end(transaction, run_id, RunResult(RunStatus.KILLED, None, None, now, None))
            outcome.advance_task(store, transaction, task.task_id, now)
        assert store.tasks.get(task.task_id).status is TaskStatus.KILLED

    def test_needs_a_kill(self, store: Store, add_task: Callable[..., TaskRow], now: datetime) -> None:
        task = add_task(TaskStatus.STARTED)
        with store.transaction() as transaction:
            outcome.advance_task(store, transaction, task.task_id, now)
        assert store.tasks.get(task.task_id).status is TaskStatus.STARTED


class TestTheRunsOfATask:
    def test_are_newest_first_and_may_be_limited(self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]) -> None:
        task = add_task()
        oldest, middle, newest = (add_run(task=task) for _ in range(3))
        add_run()
        assert [run.run_id for run in store.runs.of_task(task.task_id)] == [newest, middle, oldest]
        assert [run.run_id for run in store.runs.of_task(task.task_id, 2)] == [newest, middle]
        assert store.runs.of_task(task.task_id, 0) == []

    def test_may_be_of_some_statuses_only(self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]) -> None:
        task = add_task()
        failed, _, lost = (add_run(status, task=task) for status in (RunStatus.FAILURE, RunStatus.SUCCESS, RunStatus.UNKNOWN))
        found = store.runs.of_task(task.task_id, statuses=frozenset({RunStatus.FAILURE, RunStatus.UNKNOWN}))
        assert [run.run_id for run in found] == [lost, failed]

    def test_include_skipped_ones_only_on_request(
        self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]
    ) -> None:
        task = add_task()
        skipped = add_run(RunStatus.SKIPPED, task=task)
        assert store.runs.of_task(task.task_id) == []
        assert [run.run_id for run in store.runs.of_task(task.task_id, statuses=frozenset({RunStatus.SKIPPED}))] == [skipped]


class TestTheRunToWaitFor:
    def test_is_the_newest_unfinished_one(self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]) -> None:
        task = add_task()
        _, newest_unfinished, _ = (add_run(status, task=task) for status in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SUCCESS))
        waited_for = store.runs.newest_to_wait_for(task.task_id)
        assert waited_for is not None
        assert waited_for.run_id == newest_unfinished

    def test_is_else_the_newest(self, store: Store, add_task: Callable[..., TaskRow], add_run: Callable[..., str]) -> None:
        task = add_task()
        _, newest = (add_run(status, task=task) for status in (RunStatus.SUCCESS, RunStatus.FAILURE))
        waited_for = store.runs.newest_to_wait_for(task.task_id)
        assert waited_for is not None
        assert waited_for.run_id == newest

    def test_is_none_if_there_is_no_run(self, store: Store, add_task: Callable[..., TaskRow]) -> None:
        assert store.runs.newest_to_wait_for(add_task().task_id) is None
