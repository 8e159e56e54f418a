"""A node of a cluster, without the cluster: an interpreter that does not have orchlite, folders with unpacked packages, and `sh`."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.operations import jobs
from orchlite.operations.context import Assignment
from orchlite.runs import job_output, job_packages
from tests.interpreters import interpreters, make_environment
from tests.rows import task_row

_NEEDED = ("virtualenv", "platformdirs", "packaging", "filelock", "distlib", "python-discovery")
_SECONDS = 60


class Report(NamedTuple):
    """What a node program has written."""

    lines: list[str]
    exit_code: int
    stderr: str

    def parsed(self) -> list[job_output.NodeLine]:
        return [line for line in map(job_output.parsed, self.lines) if line is not None]

    @property
    def records(self) -> list[str]:
        return [line.record for line in self.parsed() if line.record is not None]

    @property
    def texts(self) -> list[str]:
        return [record.split(" ", 3)[3] for record in self.records]

    @property
    def text(self) -> str:
        """The records as one text; a part of a line has no newline."""
        parts = (record.split(" ", 3) for record in self.records)
        return "".join(text + ("" if tag == "P" else "\n") for _, _, tag, text in parts)

    @property
    def result(self) -> dict[str, Any]:
        (result,) = [line.result for line in self.parsed() if line.result is not None]
        return result

    def has_started(self) -> bool:
        return any(line.started_at_ns is not None for line in self.parsed())


class Node:
    """One machine with an interpreter, a cache of environments and a folder for temporary files."""

    def __init__(self, folder: Path, python: Path, code: Path, cache: Path) -> None:
        self.folder = folder
        self.python = python
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.env = {
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.temporary),
            "ORCHLITE_CACHE": str(cache),
            "PYTHONPATH": str(code),
            **{name: os.environ[name] for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_NO_INDEX") if name in os.environ},
        }
        if "PYTHONPYCACHEPREFIX" in os.environ:
            self.env["PYTHONPYCACHEPREFIX"] = os.environ["PYTHONPYCACHEPREFIX"]

    def receive(self, job: Any) -> Path:
        """Unpack the packages of a job, as a cluster does; return the folder in which its program is started."""
        folder = self.folder / f"job-{uuid.uuid4()}"
        _unpack(job_packages.document(job.document), folder)
        _unpack(job_packages.bundle(job.bundle, job.sha), folder)
        return folder

    def start(self, folder: Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start the node program as a cluster does: by a shell, with standard output as a pipe."""
        command = ["sh", "-c", " ".join(job_packages.COMMAND)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.env, **options}
        return subprocess.Popen(command, cwd=folder, start_new_session=True, **options)

    def finish(self, process: subprocess.Popen[bytes]) -> Report:
        """Block until the program has ended; return what it has written."""
        output, errors = process.communicate(timeout=_SECONDS)
        return Report(output.decode("ascii").splitlines(), process.returncode, errors.decode())

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the shell and the node program, as a cluster does whose supervisor has died."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=_SECONDS)

    def run(self, job: Any) -> Report:
        """Execute a job to its end."""
        return self.finish(self.start(self.receive(job)))


def _unpack(content: bytes, folder: Path) -> None:
    with ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


@pytest.fixture(scope="session")
def node_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has what a node needs, and not orchlite."""
    return make_node_python(interpreters()[0], tmp_path_factory.mktemp("node") / "python")


def make_node_python(interpreter: str, folder: Path) -> Path:
    """Make such an environment of this interpreter; return the path of its `python`."""
    site_packages = make_environment(interpreter, folder)
    for path in site_packages.glob("*.pth"):
        path.unlink()
    for name in _NEEDED:
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top != ".." and not (site_packages / top).exists():
                (site_packages / top).symlink_to(str(distribution(name).locate_file(top)))
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def node_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the unpacked code: one for all tests, so that Python compiles it once."""
    folder = tmp_path_factory.mktemp("code")
    _unpack(job_packages.code(), folder)
    return folder


@pytest.fixture
def node(tmp_path: Path, node_python: Path, node_code: Path, shared_cache: Path) -> Node:
    """A node with the cache of all tests."""
    return Node(tmp_path / "node", node_python, node_code, shared_cache)


@pytest.fixture
def job(client: orchlite.Client, folder: Callable[..., Path]) -> Callable[..., Any]:
    """Make a job of the test's store: `job("print(1)")`, or `job({"main.py": "..."}, {"an": "argument"}, timeout_seconds=1)`."""

    def make(
        files: str | Mapping[str, str],
        arguments: str = "{}",
        *,
        attempt: int = 1,
        client: orchlite.Client = client,
        **task: Any,
    ) -> Any:
        context = engine_of(client).context
        uploaded = client.upload_orchestration(path=folder(files)).wait()
        orchestration = context.store.orchestrations.get(uploaded.id())
        changes = {"timeout_seconds": None, "debug": False, "env": {}, "env_passthrough": (), "arguments": arguments, **task}
        row = task_row(orchestration, **changes)
        return jobs.job_of(context, Assignment(_queued(row.task_id, attempt), row, orchestration))

    return make


def _queued(task_id: str, attempt: int) -> RunRow:
    now = datetime.now(UTC)
    return RunRow(str(uuid.uuid4()), task_id, RunStatus.RUNNING, attempt, "", "", "", now, now, None, None, None, None, None, False, True)


@pytest.fixture
def with_index(open_client: Callable[..., orchlite.Client], folder: Callable[..., Path]) -> Callable[..., Any]:
    """Make a job whose requirements come from this index: `with_index(job, url, files)`."""

    def make(job: Callable[..., Any], index: str, files: Mapping[str, str], **options: Any) -> Any:
        return job(files, client=open_client(index_urls=[index], installer="pip"), **options)

    return make
