"""What runs have seen installed: stored once for all runs that saw the same, and deleted with the last of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.records import Packages
from orchlite.core.status import RunStatus
from orchlite.store import run_packages
from orchlite.store.database import Database
from orchlite.store.run_packages import RunPackages, sha_of
from orchlite.store.store import Store

_OLD = Packages("3.11.7", ("six==1.16.0",), ("numpy==2.1.0",))
_NEW = _OLD._replace(installed=("six==1.17.0",))


@pytest.fixture
def runs(store: Store, add_run: Callable[..., str]) -> list[str]:
    """The ids of three runs: two that saw the same, and a newer one."""
    found = [add_run(RunStatus.SUCCESS) for _ in range(3)]
    with store.transaction() as transaction:
        for run_id, packages in zip(found, (_OLD, _OLD, _NEW), strict=True):
            store.run_packages.insert(transaction, packages)
            store.run_packages.set(transaction, run_id, sha_of(packages))
    return found


def _lists(database: Database) -> int:
    return len(database.rows("SELECT * FROM package_lists"))


def test_are_stored_once_for_all_runs_that_saw_the_same(store: Store, database: Database, runs: list[str]) -> None:
    assert [store.run_packages.get(run_id) for run_id in runs] == [_OLD, _OLD, _NEW]
    assert _lists(database) == 2


@pytest.mark.usefixtures("runs")
def test_that_another_process_has_inserted_are_found(database: Database) -> None:
    other = RunPackages(database)
    assert [other.has(packages) for packages in (_OLD, _OLD, _NEW, _OLD._replace(host=()))] == [True, True, True, False]


def test_are_deleted_with_the_last_run_that_saw_them(store: Store, database: Database, runs: list[str], now: datetime) -> None:
    left = []
    for run_id in runs:
        with store.transaction() as transaction:
            store.maintenance.delete_runs(transaction, [run_id], now + timedelta(days=1))
        left.append(_lists(database))
    assert left == [2, 1, 0]


def test_are_recorded_although_they_were_deleted_while_the_only_run_that_saw_them_ran(store: Store, add_run: Callable[..., str]) -> None:
    run_id = add_run(RunStatus.SUCCESS)
    with store.transaction() as transaction:
        store.run_packages.insert(transaction, _OLD)
        run_packages.delete_unused(transaction)
        store.run_packages.set(transaction, run_id, sha_of(_OLD))
    assert store.run_packages.get(run_id) == _OLD


def test_are_not_known_of_a_run_that_recorded_none(store: Store, add_run: Callable[..., str]) -> None:
    run_id = add_run(RunStatus.SUCCESS)
    assert store.run_packages.get(run_id) is None
    with store.transaction() as transaction:
        store.run_packages.set(transaction, run_id, sha_of(_OLD))
    assert store.run_packages.get(run_id) is None, "they were deleted, and this process does not know them"
