"""Pruning: what has ended and is old is removed and counted; what is alive, new or in use stays."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.core.settings import Retention
from orchlite.environments.environments import Environments
from orchlite.operations import retention
from orchlite.operations.context import Context
from orchlite.operations.retention import Pruned

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]

# All tests share the environments, so those tests that prune them have caches of their own.
_MONTH = Retention(timedelta(days=30), 0, timedelta(days=30), None)
_RUNS_ONLY = Retention(timedelta(days=30), 0, None, None)


def _store(client: orchlite.Client) -> Context:
    return client._engine.context


@contextmanager
def _database(client: orchlite.Client) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(client.path() / "store.sqlite", isolation_level=None)) as connection:
        yield connection


def _change(client: orchlite.Client, sql: str, *parameters: object) -> None:
    with _database(client) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


def _age(client: orchlite.Client, days: float = 40) -> None:
    """Move the times of ended runs, tasks and events `days` days into the past."""
    microseconds = int(days * 86_400_000_000)
    _change(client, "UPDATE runs SET ended_at = ended_at - ?", microseconds)
    _change(client, "UPDATE tasks SET updated_at = updated_at - ?", microseconds)
    _change(client, "UPDATE events SET at = at - ?", microseconds)


def _count(client: orchlite.Client, table: str) -> int:
    with _database(client) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _contents(client: orchlite.Client) -> list[str]:
    """Return all rows and all files."""
    with _database(client) as connection:
        return [*connection.iterdump(), *sorted(str(path) for path in client.path().rglob("*") if "store.sqlite" not in path.name)]


def _make_old(path: Path, seconds: float = 7200) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at), follow_symlinks=False)


def _make_recurring(client: orchlite.Client, task: orchlite.Task, status: str = "started") -> None:
    _change(client, "UPDATE tasks SET kind = 'scheduled', status = ? WHERE task_id = ?", status, task.id())


def _add_runs(client: orchlite.Client, task: orchlite.Task, statuses: list[str]) -> list[str]:
    """Runs of the task that ended 40 days ago."""
    ended_at = int((time.time() - 40 * 86_400) * 1e6)
    run_ids = [str(uuid.uuid4()) for _ in statuses]
    with _database(client) as connection:
        for run_id, status in zip(run_ids, statuses, strict=True):
            connection.execute(
                "INSERT INTO runs (run_id, task_id, status, submitted_by, created_at, ended_at) VALUES (?, ?, ?, 'host', ?, ?)",
                (run_id, task.id(), status, ended_at, ended_at),
            )
    return run_ids


class TestRuns:
    def test_old_ones_are_removed_with_their_folders_and_tasks(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print('hello')"))
        _age(client)
        pruned = retention.prune(_store(client), _RUNS_ONLY)
        assert (pruned.runs, pruned.tasks, pruned.events) == (1, 1, 0)
        assert pruned.bytes > 0
        assert not (client.path() / "runs" / run.id()).exists()
        for find in (lambda: client.get_task_run_by_id(run.id()), lambda: client.get_task_by_id(run.task())):
            with pytest.raises(orchlite.NotFound):
                find()

    def test_newer_ones_stay(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print('hello')"))
        _age(client, days=29)
        assert retention.prune(_store(client), _MONTH) == Pruned()
        assert [line.text for line in run.logs()] == ["hello"]

    def test_one_that_ended_a_moment_ago_stays_at_any_age(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print('hello')"))
        assert retention.prune(_store(client), Retention(timedelta(microseconds=1), 0, None, None)).runs == 0
        assert run.status() == "success"

    def test_a_running_one_stays_with_its_task(
        self, client: orchlite.Client, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        task = client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        [run] = task.last_runs()
        until(lambda: "begun" in run.logs())
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY) == Pruned()
        gate.touch()
        assert run.wait().status() == "success"

    def test_one_whose_runner_is_alive_stays_although_its_row_has_ended(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print('hello')"))
        _age(client)
        with (client.path() / "runs" / run.id() / "alive.lock").open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert retention.prune(_store(client), _RUNS_ONLY) == Pruned()
        assert retention.prune(_store(client), _RUNS_ONLY).runs == 1

    def test_one_that_waits_for_its_packaging_stays_with_its_task(self, open_client: OpenClient, folder: MakeFolder) -> None:
        client = open_client()
        task = client.upload_orchestration(path=folder("print(1)")).run_once()
        task.wait()
        with _database(client) as connection:
            connection.execute("UPDATE runs SET status = 'queued', ended_at = NULL, submitted_by = 'other' WHERE task_id = ?", (task.id(),))
            connection.execute("UPDATE tasks SET status = 'pending', updated_at = 0 WHERE task_id = ?", (task.id(),))
        assert retention.prune(_store(client), _RUNS_ONLY) == Pruned()

    def test_packaging_stays_with_its_orchestration(self, client: orchlite.Client, folder: MakeFolder) -> None:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY) == Pruned()
        assert orchestration.task().last_runs()[0].status() == "success"

    def test_of_repeated_packaging_the_newest_stays(self, client: orchlite.Client, folder: MakeFolder) -> None:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        [newest] = _add_runs(client, orchestration.task(), ["success"])
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY).runs == 1
        assert [run.id() for run in orchestration.task().last_runs()] == [newest]

    def test_the_newest_of_a_schedule_stay_as_many_as_configured(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _make_recurring(client, task)
        run_ids = _add_runs(client, task, ["failure", "success", "success", "skipped", "skipped"])
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY._replace(keep_last_runs=2)).runs == 2
        remaining = [run.id() for run in task.last_runs()]
        assert remaining == run_ids[2:0:-1], "skipped ones do not count"
        assert task.status() == "started"

    def test_of_a_schedule_only_the_task_stays_if_no_run_is_kept(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _make_recurring(client, task)
        _age(client)
        pruned = retention.prune(_store(client), _RUNS_ONLY)
        assert (pruned.runs, pruned.tasks) == (1, 0)
        assert task.last_runs() == []

    def test_of_a_killed_schedule_nothing_stays(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _make_recurring(client, task, "killed")
        _age(client)
        pruned = retention.prune(_store(client), _RUNS_ONLY._replace(keep_last_runs=2))
        assert (pruned.runs, pruned.tasks) == (1, 1)

    def test_a_recently_killed_task_stays_without_its_old_runs(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _age(client)
        task.kill()
        pruned = retention.prune(_store(client), _RUNS_ONLY)
        assert (pruned.runs, pruned.tasks) == (1, 0)

    def test_a_folder_that_the_program_made_read_only_is_removed(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("import os; os.makedirs('a/b'); open('a/b/c', 'w').close(); os.chmod('a/b', 0o500); os.chmod('a', 0o500)"))
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY).runs == 1
        assert not (client.path() / "runs" / run.id()).exists()

    def test_folders_nested_too_deep_for_a_path_are_removed(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("import os\nfor _ in range(700):\n    os.mkdir('deeper')\n    os.chdir('deeper')\n"))
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY).runs == 1
        assert not (client.path() / "runs" / run.id()).exists()

    def test_a_schedule_that_failed_before_it_started_is_removed(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_scheduled("x", "0 0 1 1 *")
        _change(client, "UPDATE tasks SET status = 'failed' WHERE task_id = ?", task.id())
        _age(client)
        assert retention.prune(_store(client), _RUNS_ONLY).tasks == 1

    def test_more_than_one_page_of_them_is_removed(self, client: orchlite.Client, folder: MakeFolder) -> None:
        task = client.upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _make_recurring(client, task)
        _add_runs(client, task, ["success"] * 601)
        assert retention.prune(_store(client), _RUNS_ONLY).runs == 601
        assert len(task.last_runs()) == 1

    def test_a_folder_whose_row_was_removed_is_removed_by_the_next_prune(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "DELETE FROM runs WHERE run_id = ?", run.id())  # as a prune that was killed leaves it
        path = client.path() / "runs" / run.id()
        _make_old(path)
        assert retention.prune(_store(client), _RUNS_ONLY).leftovers == 1
        assert not path.exists()


class TestEvents:
    def test_old_ones_are_removed_except_the_newest_whose_id_must_not_be_reused(self, client: orchlite.Client, folder: MakeFolder) -> None:
        client.run(folder("print(1)"))
        _age(client)
        count = _count(client, "events")
        newest = client.events()[-1].id()
        pruned = retention.prune(_store(client), Retention(None, 0, timedelta(days=30), None))
        assert pruned == Pruned(events=count - 1)
        assert [event.id() for event in client.events()] == [newest, newest + 1]

    def test_newer_ones_stay(self, client: orchlite.Client, folder: MakeFolder) -> None:
        client.run(folder("print(1)"))
        count = _count(client, "events")
        assert retention.prune(_store(client), _MONTH) == Pruned()
        assert _count(client, "events") == count

    def test_one_records_the_prune(self, client: orchlite.Client, folder: MakeFolder) -> None:
        client.run(folder("print(1)"))
        _age(client)
        pruned = retention.prune(_store(client), _RUNS_ONLY)
        event = client.events()[-1]
        assert (event.kind(), event.became(), event.reason()) == ("store", "pruned", str(pruned))

    def test_none_records_a_prune_that_removed_nothing(self, client: orchlite.Client) -> None:
        retention.prune(_store(client), _MONTH)
        assert _count(client, "events") == 0


class TestEnvironments:
    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[orchlite.Client]:
        with orchlite.Client(tmp_path / "store", workers=1, environment=Environments(tmp_path / "cache")) as client:
            yield client

    @staticmethod
    def _use_long_ago(cache: Path) -> None:
        for path in sorted(cache.rglob("*"), reverse=True):
            _make_old(path, 40 * 86_400)

    @pytest.mark.slow
    def test_are_removed_if_unused_lately_and_stay_in_a_dry_run(self, client: orchlite.Client, folder: MakeFolder, tmp_path: Path) -> None:
        asked = Retention(None, 0, None, timedelta(days=30))
        client.run(folder("print(1)"))
        assert retention.prune(_store(client), asked) == Pruned(), "they were used lately"
        self._use_long_ago(tmp_path / "cache")
        before = sorted((tmp_path / "cache").rglob("*"))
        would = retention.prune(_store(client), asked, dry_run=True)
        assert sorted((tmp_path / "cache").rglob("*")) == before
        pruned = retention.prune(_store(client), asked)
        assert would == pruned._replace(dry_run=True)
        assert pruned.environments >= 1
        assert pruned.bytes > 0
        assert client.run(folder("print(2)")).status() == "success", "it is built anew"

    @pytest.mark.slow
    def test_stay_when_a_schedule_needs_them(self, client: orchlite.Client, folder: MakeFolder, tmp_path: Path) -> None:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        task = orchestration.run_once()
        task.wait()
        _make_recurring(client, task, "paused")
        self._use_long_ago(tmp_path / "cache")
        retention.prune(_store(client), Retention(None, 0, None, timedelta(days=30)))
        [key] = _store(client).store.maintenance.needed_environments()
        assert _store(client).environments.find(key) is not None


class TestADryRun:
    def test_returns_the_same_and_changes_nothing(self, client: orchlite.Client, folder: MakeFolder, until: Until) -> None:
        for number in range(3):
            client.run(folder(f"print({number})"))
        _age(client)
        until(lambda: not list(Path(client.path(), "runs").glob("*/1/work/main.py")))  # workers clean up a moment later
        before = _contents(client)
        would = retention.prune(_store(client), _MONTH, dry_run=True)
        assert _contents(client) == before
        assert (would.runs, would.tasks) == (3, 3)
        assert retention.prune(_store(client), _MONTH) == would._replace(dry_run=False)


class TestWithOtherHosts:
    def test_runs_submitted_meanwhile_succeed(self, open_client: OpenClient, folder: MakeFolder) -> None:
        pruner, submitter = open_client(), open_client(workers=2)
        orchestration = submitter.upload_orchestration(path=folder("print('hello')")).wait()
        done = threading.Event()
        pruned: list[Pruned] = []

        def prune() -> None:
            while not done.is_set():
                pruned.append(retention.prune(_store(pruner), Retention(timedelta(microseconds=1), 0, timedelta(microseconds=1), None)))

        threads = [threading.Thread(target=prune) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            tasks = [orchestration.run_once(json_args={"number": number}) for number in range(6)]
            assert [task.wait(30).status() for task in tasks] == ["success"] * 6
            assert all("hello" in task.last_runs()[0].logs() for task in tasks)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert sum(each.runs + each.tasks for each in pruned) == 0

    def test_two_prunes_at_once_remove_everything_once(self, open_client: OpenClient, folder: MakeFolder) -> None:
        clients = [open_client(), open_client()]
        task = clients[0].upload_orchestration(path=folder("print(1)")).wait().run_once()
        task.wait()
        _make_recurring(clients[0], task)
        _add_runs(clients[0], task, ["success"] * 600)
        pruned: list[Pruned] = []
        threads = [
            threading.Thread(target=lambda client=client: pruned.append(retention.prune(_store(client), _RUNS_ONLY))) for client in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(each.runs for each in pruned) == 600


class TestDaily:
    def test_happens_once_on_any_host(self, open_client: OpenClient) -> None:
        first, second = _store(open_client()), _store(open_client())
        assert retention.prune_daily(first, _MONTH) == Pruned()
        assert retention.prune_daily(first, _MONTH) is None
        assert retention.prune_daily(second, _MONTH) is None

    @pytest.mark.parametrize(("days", "is_due"), [(0.99, False), (1.01, True), (-0.9, False), (-1.1, True)])
    def test_is_due_a_day_later_or_when_the_clock_was_set_back(self, client: orchlite.Client, days: float, is_due: bool) -> None:
        retention.prune_daily(_store(client), _MONTH)
        assert retention.is_due(_store(client), datetime.now(UTC) + timedelta(days=days)) is is_due


class TestTheArguments:
    @pytest.mark.parametrize(
        "age",
        [timedelta(0), timedelta(days=-1), timedelta.max, 30, "30 days", None],
        ids=["nothing", "negative", "for ever", "a number", "a text", "None"],
    )
    def test_an_age_is_a_positive_timedelta(self, age: object) -> None:
        with pytest.raises(orchlite.BadArgument, match="older_than") as caught:
            retention.older_than(age)
        assert caught.value.details["argument"] == "older_than"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("runs_older_than", timedelta(0)),
            ("events_older_than", 5),
            ("environments_unused_for", timedelta(days=-1)),
            ("keep_last_runs", -1),
            ("keep_last_runs", True),
            ("keep_last_runs", 1.5),
        ],
    )
    def test_a_retention_is_checked_field_by_field(self, field: str, value: Any) -> None:
        with pytest.raises(orchlite.BadArgument, match=field):
            retention.checked(Retention()._replace(**{field: value}))

    def test_a_retention_may_keep_things_for_ever(self) -> None:
        assert retention.checked(Retention(None, 0, None, None)) == Retention(None, 0, None, None)

    def test_a_retention_is_a_retention(self) -> None:
        with pytest.raises(orchlite.BadArgument, match="retention"):
            retention.checked(timedelta(days=3))

    def test_one_age_applies_to_everything(self) -> None:
        day = timedelta(days=1)
        assert retention.older_than(day) == Retention(day, 0, day, day, day)


class TestTheSummary:
    def test_names_what_was_removed(self) -> None:
        assert str(Pruned(runs=2, tasks=1, bytes=3 * 2**20)) == "removed 2 runs, 1 task: 3.0 MiB"

    def test_names_what_would_be_removed(self) -> None:
        assert str(Pruned(leftovers=1, dry_run=True)) == "would remove 1 leftover: 0.0 MiB"

    def test_says_when_nothing_was_removed(self) -> None:
        assert str(Pruned()) == "removed nothing"
