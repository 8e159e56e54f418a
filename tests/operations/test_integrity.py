"""What a check finds: everything that is wrong with a store, and nothing in an intact one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import orchlite
from orchlite.operations import integrity
from orchlite.operations.context import Context
from orchlite.operations.integrity import Finding

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]

_ID = "0123abcd-0123-4567-89ab-0123456789ab"


def _store(client: orchlite.Client) -> Context:
    return client._engine.context


def _change(client: orchlite.Client, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(client.path() / "store.sqlite", isolation_level=None)) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


def _the_only_finding(client: orchlite.Client) -> Finding:
    [finding] = integrity.check(_store(client))
    return finding


class TestAnIntactStore:
    def test_has_no_findings_when_it_is_new(self, client: orchlite.Client) -> None:
        assert integrity.check(_store(client)) == []

    @pytest.mark.slow
    def test_has_none_when_runs_have_ended_in_all_ways(
        self, client: orchlite.Client, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        slow = client.upload_orchestration(path=folder("import time; time.sleep(60)")).run_once(timeout=1)
        client.run(folder("print(1)"))
        client.run(folder("raise SystemExit(3)"))
        with pytest.raises(orchlite.PackagingFailed):
            client.run(folder({"main.py": "", "requirements.txt": "orchlite-no-such-package==1.0"}))
        assert slow.wait().status() == "timed_out"
        assert integrity.check(_store(client)) == []

    @pytest.mark.slow
    def test_has_none_while_hosts_are_at_work_on_it(self, open_client: OpenClient, folder: MakeFolder) -> None:
        checker, worker = open_client(), open_client(workers=2)
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                orchestration = worker.upload_orchestration(path=folder(f"print({uuid.uuid4().int})")).wait()
                orchestration.run_once().wait()
                worker._engine.delete(orchestration.id())

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(25):
                assert integrity.check(_store(checker)) == []
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def test_has_none_if_a_result_is_missing_or_torn_as_after_a_power_failure(self, client: orchlite.Client, folder: MakeFolder) -> None:
        for text in ("", "{"):
            run = client.run(folder(f"print({text!r})"))
            (client.path() / "runs" / run.id() / "1" / "result.json").write_text(text)
        assert integrity.check(_store(client)) == []


def test_progress_names_each_part_and_counts_runs(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder("print(1)"))
    seen: list[tuple[str, int, int]] = []
    client.check(progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(part for part, _, _ in seen)) == [
        *("database", "rows", "bundles", "models", "environments", "runs", "leftovers"),
    ]
    assert [step for step in seen if step[2]] == [("runs", 2, 2)]


class TestTheDatabase:
    def test_a_damaged_page_is_found(self, tmp_path: Path, folder: MakeFolder) -> None:
        with orchlite.Client(tmp_path / "store") as client:
            client.run(folder("print(1)"))
        path = client.path() / "store.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").fetchone()[0]
            page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        with path.open("r+b") as file:
            file.seek((page - 1) * page_bytes)
            file.write(b"\xff" * page_bytes)
        with orchlite.Client(client.path()) as damaged:
            for quick in (False, True):
                findings = damaged.check(quick=quick)
                assert findings
                assert {finding.kind for finding in findings} == {"database"}
                assert findings[0].hint == "Restore the store from a backup."

    def test_a_row_that_refers_to_a_missing_row_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "DELETE FROM tasks WHERE task_id = ?", run.task())  # without foreign keys, as another program may do it
        finding = _the_only_finding(client)
        assert finding.kind == "database"
        assert "of runs refers to a missing row of tasks" in finding.what


class TestRows:
    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ("ended_at = NULL", "is success and has no end"),
            ("status = 'queued', submitted_by = 'another host'", "is queued and has a host or an end"),
            ("status = 'running'", "is running and has no host, or an end"),
        ],
    )
    def test_a_run_that_contradicts_itself_is_found(self, client: orchlite.Client, folder: MakeFolder, change: str, what: str) -> None:
        run = client.run(folder("print(1)"))
        _change(client, f"UPDATE runs SET {change} WHERE run_id = ?", run.id())
        findings = [finding for finding in integrity.check(_store(client)) if finding.kind == "row"]
        assert (findings[0].kind, findings[0].subject) == ("row", run.id())
        assert what in findings[0].what

    def test_an_unknown_status_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "UPDATE runs SET status = 'vanished' WHERE run_id = ?", run.id())
        assert any("is vanished" in finding.what for finding in integrity.check(_store(client)))

    def test_a_run_with_two_ends_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "INSERT INTO events (at, kind, object_id, became) VALUES (1, 'run', ?, 'failure')", run.id())
        finding = _the_only_finding(client)
        assert finding.subject == run.id()
        assert "ended as success, failure" in finding.what

    def test_a_run_whose_events_say_another_outcome_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "UPDATE events SET became = 'timed_out' WHERE object_id = ? AND became = 'success'", run.id())
        assert "ended as timed_out" in _the_only_finding(client).what

    def test_an_orchestration_without_packaging_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        orchestration = client.upload_orchestration(path=folder("print(1)")).wait()
        _change(client, "UPDATE orchestrations SET task_id = 'gone'")
        assert _the_only_finding(client).subject == orchestration.id()


class TestBundles:
    @pytest.fixture
    def bundle(self, client: orchlite.Client, folder: MakeFolder) -> Path:
        return _store(client).bundles.path(client.upload_orchestration(path=folder("print(1)")).wait().sha())

    def test_one_that_is_missing_is_found(self, client: orchlite.Client, bundle: Path) -> None:
        bundle.unlink()
        finding = _the_only_finding(client)
        assert (finding.kind, finding.subject) == ("bundle", str(bundle))
        assert "cannot be read" in finding.what

    def test_one_that_was_cut_off_is_found(self, client: orchlite.Client, bundle: Path) -> None:
        os.truncate(bundle, 10)
        assert "It has 10 bytes instead of" in _the_only_finding(client).what
        assert client.check(quick=True) == client.check()

    def test_one_whose_bytes_have_changed_is_found(self, client: orchlite.Client, bundle: Path) -> None:
        content = bytearray(bundle.read_bytes())
        content[len(content) // 2] ^= 1
        bundle.write_bytes(content)
        assert "their SHA-256 differs" in _the_only_finding(client).what
        assert client.check(quick=True) == []


class TestRuns:
    def test_a_result_that_differs_from_the_row_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        (client.path() / "runs" / run.id() / "1" / "result.json").write_text('{"status": "failure"}')
        finding = _the_only_finding(client)
        assert (finding.kind, finding.subject, finding.what) == ("run", run.id(), "It is success, but its result says 'failure'.")

    def test_one_that_has_ended_and_whose_runner_is_alive_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        with (client.path() / "runs" / run.id() / "alive.lock").open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert "its runner is alive" in _the_only_finding(client).what

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
    def test_a_process_that_could_not_be_ended_is_found_by_its_start_although_it_has_no_environment(
        self, client: orchlite.Client, folder: MakeFolder
    ) -> None:
        run = client.run(folder("print(1)"))
        file = client.path() / "runs" / run.id() / "1" / "result.json"
        with subprocess.Popen(["/bin/sleep", "60"], env={}, start_new_session=True) as survivor:
            try:
                start_ticks = int(Path(f"/proc/{survivor.pid}/stat").read_text().rpartition(")")[2].split()[19])
                result = {**json.loads(file.read_text()), "left": [survivor.pid], "left_start_ticks": [start_ticks]}
                file.write_text(json.dumps(result))
                finding = _the_only_finding(client)
                assert finding.what == f"It has ended, but processes that it started are alive: {survivor.pid}."
                assert "kill -9" in finding.hint
                file.write_text(json.dumps({**result, "left_start_ticks": [start_ticks - 1]}))  # another process has got the id since
                assert integrity.check(_store(client)) == []
            finally:
                survivor.kill()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
    def test_a_process_of_an_ended_run_is_found_with_those_of_its_session(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        runs_folder = client.path() / "runs" / run.id()
        status = runs_folder.stat()
        env = {"ORCHLITE_RUN_TOKEN": run.id(), "ORCHLITE_RUN_PLACE": f"{status.st_dev}:{status.st_ino}"}
        script = "(env -i /bin/sleep 60 >/dev/null & echo $!); exec sleep 60 >/dev/null"  # no child of the leader's
        leader = subprocess.Popen(["/bin/sh", "-c", script], env=env, start_new_session=True, stdout=subprocess.PIPE, text=True)
        with leader:
            assert leader.stdout is not None
            hidden = int(leader.stdout.readline())
            try:
                start_ticks = int(Path(f"/proc/{leader.pid}/stat").read_text().rpartition(")")[2].split()[19])
                started = json.loads((runs_folder / "started.json").read_text())
                started |= {"session": leader.pid, "session_start_ticks": start_ticks}
                (runs_folder / "started.json").write_text(json.dumps(started))
                numbers = ", ".join(map(str, sorted([leader.pid, hidden])))
                assert _the_only_finding(client).what == f"It has ended, but processes that it started are alive: {numbers}."
            finally:
                os.killpg(leader.pid, signal.SIGKILL)

    def test_one_that_is_running_without_a_process_is_found(self, client: orchlite.Client, folder: MakeFolder) -> None:
        run = client.run(folder("print(1)"))
        _change(client, "DELETE FROM events WHERE became = 'success' AND object_id = ?", run.id())
        _change(client, "UPDATE runs SET status = 'running', ended_at = NULL, host_id = 'gone' WHERE run_id = ?", run.id())
        finding = _the_only_finding(client)
        assert (finding.subject, finding.hint) == (run.id(), "start() records how it ended.")

    def test_one_that_continues_without_its_host_is_no_finding(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, until: Until
    ) -> None:
        client, checker = open_client(), open_client()
        [run] = client.upload_orchestration(path=folder(waiting_program)).wait().run_once().last_runs()
        until(lambda: "begun" in run.logs())
        client.close(drain=False)
        assert integrity.check(_store(checker)) == []
        gate.touch()
        assert checker.get_task_run_by_id(run.id()).wait().status() == "success"


class TestLeftovers:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            (f"bundles/{_ID}.upload", "upload"),
            (f"bundles/{'a' * 64}.zip", "bundle"),
            (f"runs/{_ID}", "run folder"),
            (f"hosts/{_ID}.lock", "host"),
            (f"hosts/{_ID}.new", "host"),
        ],
        ids=["an upload", "a bundle", "a run folder", "a dead host", "a host that died at once"],
    )
    def test_are_found_and_not_removed(self, client: orchlite.Client, path: str, kind: str) -> None:
        left = client.path() / path
        left.mkdir() if path.startswith("runs") else left.touch()
        long_ago = time.time() - 7200
        os.utime(left, (long_ago, long_ago))
        finding = _the_only_finding(client)
        assert (finding.kind, finding.subject, finding.what) == ("leftover", str(left), f"This {kind} belongs to nothing.")
        assert left.exists()


def test_a_finding_reads_as_a_sentence(client: orchlite.Client) -> None:
    (client.path() / "hosts" / "gone.lock").touch()
    path = client.path() / "hosts" / "gone.lock"
    hint = "The next client that opens the store removes it, and so does prune()."
    assert [str(finding) for finding in integrity.check(_store(client))] == [f"leftover {path}: This host belongs to nothing. {hint}"]
