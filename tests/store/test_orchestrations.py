"""Orchestrations in the store, and the transitions of their status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import IllegalMove, NotFound
from orchlite.core.records import JunkWarning, OrchestrationRow, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, targets_of
from orchlite.store.database import Database
from orchlite.store.store import Store

_LEGAL = [
    pytest.param(was, target, id=f"{was}-{target}")
    for was in OrchestrationStatus
    for target in OrchestrationStatus
    if target in targets_of(was)
]
_EVERY_STATUS = [pytest.param(status, id=status) for status in OrchestrationStatus]


def _events(database: Database, object_id: str) -> list[tuple[str | None, str, str | None]]:
    rows = database.rows("SELECT was, became, reason FROM events WHERE object_id = ? ORDER BY event_id", (object_id,))
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(("was", "target"), _LEGAL)
def test_every_legal_transition_is_made_and_recorded(
    store: Store,
    database: Database,
    add_orchestration: Callable[..., OrchestrationRow],
    now: datetime,
    was: OrchestrationStatus,
    target: OrchestrationStatus,
) -> None:
    orchestration_id = add_orchestration(was).orchestration_id
    later = now + timedelta(seconds=1)
    with store.transaction() as transaction:
        store.orchestrations.move(transaction, orchestration_id, target, later, "because")
    moved = store.orchestrations.get(orchestration_id)
    assert (moved.status, moved.reason, moved.created_at, moved.updated_at) == (target, "because", now, later)
    assert _events(database, orchestration_id) == [(None, was, None), (was, target, "because")]


@pytest.mark.parametrize("was", _EVERY_STATUS)
def test_every_other_transition_is_refused_and_changes_nothing(
    store: Store,
    database: Database,
    add_orchestration: Callable[..., OrchestrationRow],
    now: datetime,
    was: OrchestrationStatus,
) -> None:
    before = add_orchestration(was)
    for target in set(OrchestrationStatus) - targets_of(was):
        with pytest.raises(IllegalMove, match=f"is {was}") as refusal, store.transaction() as transaction:
            store.orchestrations.move(transaction, before.orchestration_id, target, now)
        assert refusal.value.details["status"] is was
    assert store.orchestrations.get(before.orchestration_id) == before
    assert len(_events(database, before.orchestration_id)) == 1


def test_a_missing_one_has_no_transition(store: Store, now: datetime) -> None:
    with pytest.raises(IllegalMove) as refusal, store.transaction() as transaction:
        store.orchestrations.move(transaction, "absent", OrchestrationStatus.PACKAGING, now)
    assert refusal.value.details["status"] is None


def test_an_orchestration_is_read_as_it_was_written(store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
    written = add_orchestration()
    assert store.orchestrations.get(written.orchestration_id) == written


def test_the_kind_of_a_warning_is_kept(store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
    orchestration_id = add_orchestration().orchestration_id
    with store.transaction() as transaction:
        store.orchestrations.add_warnings(transaction, orchestration_id, [JunkWarning("junk"), "a warning", "another"])
    warnings = store.orchestrations.get(orchestration_id).warnings
    assert [(str(warning), type(warning)) for warning in warnings] == [("a warning", str), ("junk", JunkWarning), ("another", str)]


def test_an_unknown_id_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="'absent'"):
        store.orchestrations.get("absent")


def test_a_workspace_lists_its_own_oldest_first(store: Store, add_orchestration: Callable[..., OrchestrationRow], now: datetime) -> None:
    other = store.workspaces.create("other", now).workspace_id
    mine = [add_orchestration(), add_orchestration()]
    theirs = [add_orchestration(workspace_id=other)]
    assert store.orchestrations.of_workspace(1) == mine
    assert store.orchestrations.of_workspace(other) == theirs


def test_the_environment_and_later_warnings_are_kept(store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
    written = add_orchestration()
    with store.transaction() as transaction:
        store.orchestrations.set_environment(transaction, written.orchestration_id, "key", ["six==1.17.0"])
        store.orchestrations.add_warnings(transaction, written.orchestration_id, ["a warning", "another"])
    assert store.orchestrations.get(written.orchestration_id) == written._replace(
        environment_key="key", installed=("six==1.17.0",), warnings=("a warning", "another")
    )


class TestTheNewestOfTheSameBytes:
    """The orchestration that `Client.run` runs again instead of uploading."""

    def test_is_found(self, store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
        known = add_orchestration(sha="a")
        assert store.orchestrations.newest_of_bytes(1, "a", "host", ["six==1.17.0"]) == known

    def test_may_be_waiting_for_packaging(self, store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
        known = add_orchestration(OrchestrationStatus.PENDING_PACKAGING, sha="a")
        assert store.orchestrations.newest_of_bytes(1, "a", "host", ["six==1.17.0"]) == known

    def test_has_not_failed(self, store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> None:
        add_orchestration(OrchestrationStatus.ERROR, sha="a")
        assert store.orchestrations.newest_of_bytes(1, "a", "host", ["six==1.17.0"]) is None

    @pytest.mark.parametrize(
        ("workspace_id", "sha", "base_image", "requirements"),
        [
            pytest.param(1, "b", "host", ["six==1.17.0"], id="other bytes"),
            pytest.param(1, "a", "clean", ["six==1.17.0"], id="another base image"),
            pytest.param(1, "a", "host", ["six==1.16.0"], id="other requirements"),
            pytest.param(2, "a", "host", ["six==1.17.0"], id="another workspace"),
        ],
    )
    def test_has_the_same_workspace_base_image_and_requirements(
        self,
        store: Store,
        add_orchestration: Callable[..., OrchestrationRow],
        workspace_id: int,
        sha: str,
        base_image: str,
        requirements: list[str],
    ) -> None:
        add_orchestration(sha="a")
        assert store.orchestrations.newest_of_bytes(workspace_id, sha, base_image, requirements) is None


def test_deleting_removes_its_tasks_and_runs(
    store: Store,
    database: Database,
    add_orchestration: Callable[..., OrchestrationRow],
    add_task: Callable[..., TaskRow],
    add_run: Callable[..., str],
) -> None:
    doomed, kept = add_orchestration(sha="a"), add_orchestration(sha="b")
    add_run(RunStatus.SUCCESS, task=add_task(orchestration=doomed))
    add_run(RunStatus.SUCCESS, task=add_task(kind=TaskKind.PACKAGING, orchestration=doomed))
    run_id = add_run(RunStatus.SUCCESS, task=add_task(orchestration=kept))
    with store.transaction() as transaction:
        store.orchestrations.delete(transaction, doomed.orchestration_id)
        assert not store.orchestrations.is_referenced(transaction, "a")
        assert store.orchestrations.is_referenced(transaction, "b")
    assert [row["run_id"] for row in database.rows("SELECT run_id FROM runs")] == [run_id]
    assert len(database.rows("SELECT * FROM tasks")) == 1
