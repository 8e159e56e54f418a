"""A host that is killed while it packages: the next one repeats the packaging, and no half-built environment is used."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import orchlite
from orchlite.environments.environments import Environments

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
Bearers = Callable[[str], list[int]]

_UPLOADS = """
import sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1, index_urls=[sys.argv[3]], base_image="clean", grace_seconds=0.5)
orchestration = client.upload_orchestration(path=sys.argv[2])
print(orchestration.id())
time.sleep(60)
"""


class Index(ThreadingHTTPServer):
    """A package index with one package. A request for its file gets half of it, then blocks until `answers` is set."""

    daemon_threads = True

    def __init__(self, version: str) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.url = f"http://127.0.0.1:{self.server_port}/simple"
        self.requirement = f"faulted=={version}"
        self.file_name = f"faulted-{version}-py3-none-any.whl"
        self.wheel = _wheel(version)
        self.asked = threading.Event()
        """Half of the file has been sent."""
        self.answers = threading.Event()
        """Requests get the whole file from now on."""


class _Page(BaseHTTPRequestHandler):
    server: Index

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.endswith(".whl"):
            self._send(self.server.wheel, "application/octet-stream")
        else:
            self._send(f'<a href="/files/{self.server.file_name}">{self.server.file_name}</a>'.encode(), "text/html")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        if kind == "application/octet-stream" and not self.server.answers.is_set():
            self.wfile.flush()
            self.server.asked.set()
            self.server.answers.wait(60)
        self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index with a package of its own, so that the environment is new in the shared cache."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    server = Index(f"1.{uuid.uuid4().int >> 72}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.answers.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def environment(index: Index, shared_cache: Path) -> Path:
    """The key's folder of the environment that the bundle needs."""
    return shared_cache / "environments" / Environments(shared_cache, index_urls=(index.url,)).key((index.requirement,))


@pytest.fixture
def bundle(folder: Callable[..., Path], index: Index) -> Path:
    return folder({"main.py": "import faulted; print(faulted.ANSWER)", "requirements.txt": index.requirement})


def _wheel(version: str) -> bytes:
    information = f"faulted-{version}.dist-info"
    files = {
        "faulted.py": "ANSWER = 42\n" + "# padding\n" * 10_000,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: faulted\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in {**files, f"{information}/RECORD": f"{record}{information}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return content.getvalue()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _kill_while_it_installs(host: subprocess.Popen[str], index: Index) -> str:
    """Return the id of the orchestration."""
    assert host.stdout is not None
    orchestration_id = host.stdout.readline().strip()
    assert index.asked.wait(20)
    host.kill()
    host.wait()
    index.answers.set()
    return orchestration_id


def _await_installer(build: Path) -> None:
    """Block until the killed host's installer has ended: until then its runner holds the build's lock."""
    give_up_at = time.monotonic() + 20
    with build.with_name(f"{build.name}.lock").open("r+") as lock:
        while not _is_free(lock.fileno()):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.mark.slow
def test_the_next_host_repeats_the_packaging_of_a_killed_one(
    index: Index, environment: Path, bundle: Path, start_host: StartHost, check_store: CheckStore, tmp_path: Path, bearers: Bearers
) -> None:
    store = tmp_path / "store"
    orchestration_id = _kill_while_it_installs(start_host(_UPLOADS, store, bundle, index.url), index)
    assert not (environment / "ready.json").exists()
    [half_built] = environment.glob("*/")
    _await_installer(half_built)
    with orchlite.Client(store, workers=1, index_urls=[index.url], base_image="clean", grace_seconds=0.5) as client:
        orchestration = client.get_orchestration_by_id(orchestration_id)
        assert orchestration.status() == "pending_packaging"
        client.start()
        assert orchestration.wait(20).installed() == [index.requirement]
        run = orchestration.run_once().wait(10)
        assert (run.status(), str(run.logs())) == ("success", "42\n")
        [packaging] = orchestration.task().last_runs()
        assert "Installed in the environment:" in packaging.logs()
    check_store(store, [run.id(), packaging.id()])
    assert bearers(str(environment)) == []
    assert not half_built.exists()


@pytest.mark.slow
def test_an_installer_ends_at_once_when_its_host_is_killed(
    index: Index, environment: Path, bundle: Path, start_host: StartHost, tmp_path: Path, bearers: Bearers
) -> None:
    host = start_host(_UPLOADS, tmp_path / "store", bundle, index.url)
    assert index.asked.wait(20)
    assert bearers(str(environment)) != []
    host.kill()
    host.wait()
    [half_built] = environment.glob("*/")
    _await_installer(half_built)  # the index still blocks
    assert bearers(str(environment)) == []


@pytest.mark.slow
def test_a_task_that_waited_for_a_killed_hosts_packaging_runs_after_the_next_hosts(
    index: Index, start_host: StartHost, check_store: CheckStore, bundle: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    script = _UPLOADS.replace("time.sleep", "print(orchestration.run_once().last_runs()[0].id())\ntime.sleep")
    host = start_host(script, store, bundle, index.url)
    _kill_while_it_installs(host, index)
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    with orchlite.Client(store, workers=1, index_urls=[index.url], grace_seconds=0.5).start() as client:
        assert client.get_task_run_by_id(run_id).wait(20).status() == "success"
    check_store(store, [run_id], {run_id: ["42"]})


@pytest.mark.slow
def test_a_host_that_waits_for_the_same_environment_builds_it_when_the_builder_is_killed(
    index: Index, start_host: StartHost, check_store: CheckStore, bundle: Path, tmp_path: Path
) -> None:
    host = start_host(_UPLOADS, tmp_path / "store", bundle, index.url)
    assert index.asked.wait(20)
    with orchlite.Client(tmp_path / "other", workers=1, index_urls=[index.url], base_image="clean") as client:
        orchestration = client.upload_orchestration(path=bundle)
        time.sleep(0.2)
        assert orchestration.status() == "packaging", "the first host is building"
        host.kill()
        host.wait()
        index.answers.set()
        assert orchestration.wait(20).installed() == [index.requirement]
        assert client.run(orchestration).status() == "success"
    assert set(check_store(tmp_path / "other").values()) == {"success"}
