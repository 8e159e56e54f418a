"""What goes wrong on a node: stops at bad moments, kills, missing packages, damaged bundles, disks that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchlite.core.status import RunStatus
from orchlite.node import report as node_report
from orchlite.runs import job_output, observation
from orchlite.runs.spec import Lost
from tests.node.conftest import Node, Report
from tests.processes import bearing, descendants
from tests.rows import run_row

MakeJob = Callable[..., Any]
Until = Callable[[Callable[[], object]], None]

_TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "{marker}"])
subprocess.Popen(["sleep", "{marker}"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "{marker}"])
    os._exit(0)
os.wait()
print("begun", flush=True)
time.sleep(600)
"""
"""Ignores SIGTERM, and has a child, a child in another session and a daemon, all of which sleep for a time by which they are found."""


@pytest.fixture
def marker() -> str:
    return f"{1_000_000 + uuid.uuid4().int % 1_000_000_000}"


@pytest.fixture
def silent_index() -> Iterator[str]:
    """The URL of a package index that accepts connections and never responds."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple/"


def _with(job: Any, **settings: Any) -> Any:
    """Return the job with these settings of its host."""
    document = json.loads(job.document)
    return job._replace(document=json.dumps({**document, "settings": {**document["settings"], **settings}}).encode())


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the program and to all that descends from it, as a cluster does."""
    for pid in descendants(process.pid):
        if pid != process.pid:  # the shell
            os.kill(pid, signal.SIGTERM)


def _begun(process: subprocess.Popen[bytes], lines: int) -> None:
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline()


def _stopped(node: Node, process: subprocess.Popen[bytes], stop: Callable[[subprocess.Popen[bytes]], None] = _stop) -> Report:
    """Stop the program; return what it reports. The runs have a grace that no test waits for: a cluster waits three seconds."""
    stop(process)
    return node.finish(process)


class TestStop:
    """SIGTERM, as a cluster sends it to a job and all that descends from it."""

    @pytest.mark.slow
    def test_kills_a_tree_that_ignores_it(self, node: Node, job: MakeJob, marker: str) -> None:
        process = node.start(node.receive(_with(job(_TREE.format(marker=marker)), grace_seconds=3600)))
        _begun(process, 2)
        assert len(bearing(marker)) == 3

        result = _stopped(node, process).result

        assert (result["status"], result["reason"]) == ("killed", "the cluster has stopped its job")
        assert result["started_at_ns"] is not None
        assert bearing(marker) == []
        assert list(node.temporary.iterdir()) == []

    @pytest.mark.slow
    def test_that_only_the_node_program_gets_ends_the_run_as_well(self, node: Node, job: MakeJob, marker: str) -> None:
        process = node.start(node.receive(_with(job(_TREE.format(marker=marker)), grace_seconds=3600)))
        _begun(process, 2)

        report = _stopped(node, process, lambda process: os.kill(descendants(process.pid)[1], signal.SIGTERM))

        assert report.result["status"] == "killed"
        assert bearing(marker) == []

    def test_of_a_program_that_ends_by_it_is_a_kill(self, node: Node, job: MakeJob) -> None:
        process = node.start(node.receive(job("import time; print('begun', flush=True); time.sleep(600)")))
        _begun(process, 2)

        assert _stopped(node, process).result["status"] == "killed"

    @pytest.mark.slow
    def test_while_the_environment_is_built(
        self, node: Node, job: MakeJob, tmp_path: Path, package_index: tuple[str, str], with_index: Any, silent_index: str, until: Until
    ) -> None:
        node.env |= {"ORCHLITE_CACHE": str(tmp_path / "cache-of-node")}
        index, requirement = package_index
        placed = with_index(job, index, {"main.py": "", "requirements.txt": requirement})
        process = node.start(node.receive(_with(placed, index_urls=[silent_index])))
        until(lambda: set(bearing("__pip-runner__.py")) & set(descendants(process.pid)))

        result = _stopped(node, process).result

        assert (result["status"], result["started_at_ns"]) == ("killed", None)

    def test_just_after_the_end_changes_nothing(self, node: Node, job: MakeJob) -> None:
        process = node.start(node.receive(job("print('done')")))
        assert process.stdout is not None
        lines = iter(lambda: process.stdout.readline().decode(), "")  # type: ignore[union-attr]
        (result,) = [line.result for line in map(job_output.parsed, (line.rstrip("\n") for line in lines)) if line and line.result]

        _stopped(node, process, lambda process: os.killpg(process.pid, signal.SIGTERM) if process.poll() is None else None)

        assert result["status"] == "success"

    @pytest.mark.parametrize(
        ("status", "exit_code", "seconds", "reported"),
        [
            ("success", 0, 1, "success"),
            ("failure", 1, 1, "killed"),
            ("unknown", None, 1, "killed"),
            ("failure", 1, -1, "failure"),
            ("failure", 143, -1, "killed"),
            ("timed_out", 143, 1, "timed_out"),
        ],
    )
    def test_decides_only_about_failures_after_it_or_by_it(
        self, client: Any, status: str, exit_code: int | None, seconds: float, reported: str
    ) -> None:
        from orchlite.client.client import engine_of

        stopped_at = datetime.now(UTC)
        run = run_row(stopped_at, status, ended_at=stopped_at + timedelta(seconds=seconds), exit_code=exit_code)

        assert node_report.result_of(engine_of(client).context, run, run, stopped_at)["status"] == reported


class TestKills:
    """Processes that get no chance to report."""

    @pytest.mark.slow
    def test_of_the_node_program_end_the_whole_tree(self, node: Node, job: MakeJob, marker: str, until: Until) -> None:
        process = node.start(node.receive(_with(job(_TREE.format(marker=marker)), grace_seconds=0.5)))
        _begun(process, 2)

        node.kill(process)

        until(lambda: not bearing(marker))

    @pytest.mark.slow
    def test_of_the_runner_make_the_outcome_unknown(self, node: Node, job: MakeJob, marker: str, until: Until) -> None:
        process = node.start(node.receive(job(_TREE.format(marker=marker))))
        _begun(process, 2)
        (runner,) = set(bearing("runner/start.py")) & set(descendants(process.pid))

        os.kill(runner, signal.SIGKILL)
        result = node.finish(process).result

        assert result["status"] == "unknown"
        assert "runner was killed" in result["reason"]
        assert isinstance(observation.of_result(result), Lost)
        until(lambda: not bearing(marker))

    @pytest.mark.slow
    def test_of_the_store_of_the_node_make_the_outcome_unknown(self, node: Node, job: MakeJob, marker: str, until: Until) -> None:
        process = node.start(node.receive(_with(job(_TREE.format(marker=marker)), grace_seconds=0.5)))
        _begun(process, 2)
        (store,) = node.temporary.glob("*/store.sqlite")

        store.write_bytes(b"")
        store.unlink()
        report = node.finish(process)

        assert report.result["status"] == "unknown"
        assert "could not supervise it any more" in report.result["reason"]
        until(lambda: not bearing(marker))  # the leash ends it

    @pytest.mark.slow
    def test_of_the_reader_of_the_output_end_the_run(self, node: Node, job: MakeJob, marker: str, until: Until) -> None:
        reading, writing = os.pipe()
        program = _TREE.format(marker=marker).replace("time.sleep(600)", "while True: print(1, flush=True); time.sleep(0.1)")
        process = node.start(node.receive(job(program)), stdout=writing)
        os.close(writing)
        until(lambda: len(bearing(marker)) == 3)

        os.close(reading)

        until(lambda: not bearing(marker))
        process.communicate(timeout=20)
        assert process.returncode == 1


class TestMissing:
    """What a node lacks is in the run's reason, in one line."""

    @pytest.mark.parametrize("name", ["virtualenv", "packaging", "platformdirs"])
    def test_packages(self, node: Node, job: MakeJob, name: str, tmp_path: Path) -> None:
        python = tmp_path / "lacking"
        shutil.copytree(node.python.parents[1], python, symlinks=True)
        for path in python.glob(f"lib/*/site-packages/{name}"):
            path.unlink()
        node.env["PATH"] = f"{python / 'bin'}:/usr/bin:/bin"

        report = node.run(job(""))

        executable = python / "bin" / "python"
        assert report.result["status"] == "failure"
        assert report.result["reason"] == (
            f"it could not be started: the node's Python ({executable}) lacks {name}. Install it there: {executable} -m pip install {name}"
        )
        assert report.stderr == ""
        assert isinstance(observation.of_result(report.result).attempt, int)

    def test_an_installer(self, node: Node, job: MakeJob) -> None:
        node.env["PATH"] = f"{node.python.parent}:/usr/bin:/bin"

        reason = node.run(_with(job(""), installer="uv")).result["reason"]

        assert "uv" in reason
        assert "\n" not in reason

    def test_the_bundle(self, node: Node, job: MakeJob) -> None:
        placed = job("")
        folder = node.receive(placed)
        (folder / f"{placed.sha}.zip").unlink()

        reason = node.finish(node.start(folder)).result["reason"]

        assert reason == f"it could not be started: The bundle {placed.sha} has not reached the node. Run the task again."

    def test_a_part_of_the_bundle(self, node: Node, job: MakeJob) -> None:
        placed = job("")
        folder = node.receive(placed)
        with (folder / f"{placed.sha}.zip").open("ab") as file:
            file.write(b"!")

        reason = node.finish(node.start(folder)).result["reason"]

        assert "The bundle that reached the node is damaged: its SHA-256 is " in reason
        assert placed.sha in reason

    def test_a_cache_that_can_be_written(self, node: Node, job: MakeJob) -> None:
        node.env["ORCHLITE_CACHE"] = "/proc/orchlite"

        report = node.run(job(""))

        assert report.result["status"] == RunStatus.FAILURE
        assert "/proc/orchlite" in report.result["reason"]
        assert report.stderr == ""


@pytest.fixture
def empty_index() -> Iterator[str]:
    """The address of a package index on this machine that has nothing."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


@pytest.mark.slow  # pip tries an index that refuses connections five times
def test_secrets_are_never_printed(
    node: Node, job: MakeJob, client: Any, tmp_path: Path, package_index: Any, with_index: Any, empty_index: str
) -> None:
    client.create_connection("bank", "http", {"token": "secret-of-connection"})
    client.get_current_workspace().add_connection("bank")
    node.env["ORCHLITE_CACHE"] = str(tmp_path / "cache-of-node")
    index, requirement = package_index
    options = {"arguments": '{"a": "secret-argument"}', "env": {"TOKEN": "secret-variable"}}
    placed = with_index(job, index, {"main.py": "", "requirements.txt": requirement}, **options)

    report = node.run(_with(placed, index_urls=[f"http://user:secret-password@{empty_index}"]))

    assert report.result["status"] == "failure"
    assert "secret" in placed.document.decode()
    assert "secret" not in str(report)
