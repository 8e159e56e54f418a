"""Packaging: from the upload to a ready environment, or to the reason why there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

import orchlite
from orchlite import OrchestrationStatus, PackagingFailed, RunStatus, TaskStatus, WaitTimeout
from orchlite.core.clock import SystemClock
from orchlite.environments.builds import Installation
from orchlite.environments.environments import Environments
from tests import large_bundles

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
Until = Callable[[Callable[[], object]], None]


class _HeldEnvironments(Environments):
    """Environments whose first step of packaging, by a worker, blocks until the test releases it, and fails on request."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.go_on = threading.Event()
        self.fails = False

    def find(self, key: str) -> Installation | None:
        if threading.current_thread() is threading.main_thread():
            return None
        assert self.go_on.wait(20)
        if self.fails:
            raise PackagingFailed("There is no such package.")
        return super().find(key)


@pytest.fixture
def held(shared_cache: Path) -> Iterator[_HeldEnvironments]:
    environments = _HeldEnvironments(shared_cache)
    yield environments
    environments.go_on.set()


@pytest.fixture
def nothing_index(tmp_path: Path) -> str:
    """The URL of an index without any package."""
    folder = tmp_path / "nothing"
    folder.mkdir()
    return folder.as_uri() + "/"


@pytest.fixture
def missing(folder: MakeFolder) -> Path:
    """A bundle that requires a package which no index has."""
    return folder({"main.py": "print()", "requirements.txt": "orchlite-no-such-package==1.0\n"})


def test_a_large_upload_returns_at_once_and_is_packaged_in_the_background(
    open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path
) -> None:
    client = open_client()
    client.upload_orchestration(path=folder(waiting_program)).wait().run_once()  # the only worker is busy
    orchestration = client.upload_orchestration(path=folder(large_bundles.files("print('hello')")))
    assert orchestration.status() is OrchestrationStatus.PENDING_PACKAGING
    assert orchestration.installed() == []
    with pytest.raises(WaitTimeout):
        orchestration.wait(0.05)
    gate.touch()
    assert orchestration.wait(20) is orchestration
    assert orchestration.status() is OrchestrationStatus.READY


def test_a_task_waits_for_its_orchestration(open_client: OpenClient, folder: MakeFolder, held: _HeldEnvironments, until: Until) -> None:
    client = open_client(environment=held, workers=2)
    orchestration = client.upload_orchestration(path=folder("print('hello')"))
    until(lambda: orchestration.status() is OrchestrationStatus.PACKAGING)
    task = orchestration.run_once()
    [run] = task.last_runs()
    assert (task.status(), run.status()) == (TaskStatus.PENDING, RunStatus.QUEUED)
    assert (run.started_at(), run.exit_code(), run.duration(), run.logs()) == (None, None, None, [])
    held.go_on.set()
    assert str(run.wait(20).logs()) == "hello\n"
    assert task.status() is TaskStatus.STARTED


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list a process's children")
def test_packaging_that_outlives_its_client_leaves_no_process_behind(
    open_client: OpenClient, folder: MakeFolder, held: _HeldEnvironments, until: Until
) -> None:
    before, threads = _children(), threading.enumerate()  # other tests may have left some
    client = open_client(environment=held)
    orchestration = client.upload_orchestration(path=folder("print('hello')"))
    until(lambda: orchestration.status() is OrchestrationStatus.PACKAGING)
    client.close(drain=False)
    held.go_on.set()
    ours = [thread for thread in threading.enumerate() if thread not in threads and thread.name.startswith("orchlite-worker")]
    until(lambda: not any(thread.is_alive() for thread in ours))
    assert _children() <= before
    assert open_client().start().get_orchestration_by_id(orchestration.id()).wait(20).status() is OrchestrationStatus.READY


def _children() -> set[str]:
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def test_packaging_is_a_task_with_one_run_that_is_not_listed(client: orchlite.Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder("print('hello')")).wait()
    task = orchestration.task()
    [run] = task.last_runs()
    assert (task.kind(), task.orchestration()) == ("packaging", orchestration.id())
    assert run.wait(20).status() is RunStatus.SUCCESS
    assert run.exit_code() == 0
    assert [line.text for line in run.logs()][-2:] == ["Installed in the environment:", "  nothing"]
    assert client.list_tasks() == orchestration.list_tasks() == []
    assert client.get_task_by_id(task.id()) == task


@pytest.mark.parametrize(("installer", "said"), [("pip", "Successfully installed {}-1.0"), ("uv", " + {}==1.0")], ids=["pip", "uv"])
def test_requirements_are_installed_and_the_log_is_the_installers_output(
    open_client: OpenClient, folder: MakeFolder, package_index: tuple[str, str], installer: str, said: str
) -> None:
    url, requirement = package_index
    name = requirement.partition("==")[0]
    client = open_client(index_urls=[url], installer=installer)
    path = folder({"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": requirement})
    orchestration = client.upload_orchestration(path=path).wait()
    log = orchestration.task().wait().logs()
    assert said.format(name.replace("_", "-")) in str(log).replace("_", "-")
    assert str(log).endswith(f"Installed in the environment:\n  {orchestration.installed()[0]}\n")
    assert [installed.replace("-", "_") for installed in orchestration.installed()] == [requirement]
    assert str(orchestration.run_once().wait().logs()) == "from the package\n"
    again = client.upload_orchestration(path=path).wait()
    assert len(again.task().wait().logs()) == 2  # what is installed, and no output of an installer, because the environment existed
    assert again.installed() == orchestration.installed()


class TestWhatCannotBeInstalled:
    @pytest.mark.parametrize(
        ("installer", "last"),
        [pytest.param("pip", "No matching distribution found", marks=pytest.mark.slow), ("uv", "was not found in the package registry")],
        ids=["pip", "uv"],
    )
    def test_is_an_error_that_explains_and_ends_with_the_installers_last_lines(
        self, open_client: OpenClient, missing: Path, nothing_index: str, installer: str, last: str
    ) -> None:
        orchestration = open_client(index_urls=[nothing_index], installer=installer).upload_orchestration(path=missing)
        with pytest.raises(PackagingFailed, match=rf"orchlite-no-such-package.*Check the spelling.*\n(?s:.*){last}") as failure:
            orchestration.wait()
        assert nothing_index in str(failure.value).partition("\n")[0]
        assert failure.value.details["orchestration_id"] == orchestration.id()
        assert orchestration.status() is OrchestrationStatus.ERROR
        run = orchestration.task().wait()
        assert (run.status(), run.exit_code()) == (RunStatus.FAILURE, 1)
        assert last in run.logs()
        with pytest.raises(PackagingFailed, match=last):
            orchestration.run_once()
        assert orchestration.list_tasks() == []

    @pytest.mark.slow
    def test_fails_the_tasks_that_waited_for_it(
        self, open_client: OpenClient, missing: Path, nothing_index: str, folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        client = open_client(index_urls=[nothing_index])
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()  # the only worker is busy
        orchestration = client.upload_orchestration(path=missing)
        task = orchestration.run_once()
        gate.touch()
        run = task.wait()
        assert (task.status(), run.status(), run.exit_code()) == (TaskStatus.FAILED, RunStatus.FAILURE, None)
        assert (run.started_at(), run.duration()) == (None, None)
        for told in (str(task.reason()), str(run.reason()), str(run.logs()), "\n".join(line.text for line in run.logs(follow=True))):
            assert "could not be packaged" in told
            assert "orchlite-no-such-package" in told

    def test_fails_a_task_that_is_submitted_at_the_same_moment(
        self, open_client: OpenClient, folder: MakeFolder, held: _HeldEnvironments, until: Until
    ) -> None:
        class Clock(SystemClock):
            """Makes packaging fail when the submission, which has seen that it is under way, reads the time."""

            def now(self) -> datetime:
                if threading.current_thread() is threading.main_thread() and armed:
                    held.fails = True
                    held.go_on.set()
                    until(lambda: orchestration.status() is OrchestrationStatus.ERROR)
                return super().now()

        armed: list[bool] = []
        orchestration = open_client(environment=held, clock=Clock()).upload_orchestration(path=folder("print()"))
        until(lambda: orchestration.status() is OrchestrationStatus.PACKAGING)
        armed.append(True)
        with pytest.raises(PackagingFailed, match="no such package"):
            orchestration.run_once()
        assert orchestration.list_tasks() == []

    @pytest.mark.slow
    def test_ends_at_the_time_limit_if_the_index_never_responds(self, open_client: OpenClient, missing: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
            orchestration = open_client(index_urls=[url], install_timeout_seconds=0.8).upload_orchestration(path=missing)
            with pytest.raises(PackagingFailed, match=r"did not end within 0\.8 s.*install_timeout_seconds"):
                orchestration.wait()
        assert orchestration.task().wait().status() is RunStatus.FAILURE


class _FailingEnvironments(Environments):
    """Environments that fail at a step of packaging other than the installer."""

    def __init__(self, cache: Path, step: str) -> None:
        super().__init__(cache)
        self._step = step

    def find(self, key: str) -> Installation | None:
        self._break("before anything was written")
        return super().find(key)

    def sdk(self) -> Path:
        self._break("after what is installed was listed")
        return super().sdk()

    def _break(self, step: str) -> None:
        if step == self._step:
            raise OSError("the cache has no more pens")


class TestPackagingThatFailsOutsideTheInstaller:
    @pytest.mark.parametrize("step", ["before anything was written", "after what is installed was listed"])
    def test_is_an_error_and_its_log_ends_with_the_reason(
        self, open_client: OpenClient, folder: MakeFolder, shared_cache: Path, step: str
    ) -> None:
        client = open_client(environment=_FailingEnvironments(shared_cache, step))
        orchestration = client.upload_orchestration(path=folder("print()"))
        with pytest.raises(PackagingFailed, match="no more pens"):
            orchestration.wait(20)
        assert orchestration.status() is OrchestrationStatus.ERROR
        run = orchestration.task().wait(20)
        assert run.status() is RunStatus.FAILURE
        assert run.logs()[-1].text == "the cache has no more pens"

    def test_is_an_error_even_if_no_log_can_be_written(self, open_client: OpenClient, folder: MakeFolder) -> None:
        client = open_client()
        (client.path() / "runs").rmdir()
        (client.path() / "runs").write_text("in the way")
        orchestration = client.upload_orchestration(path=folder("print()"))
        with pytest.raises(PackagingFailed, match=r"Not a directory|File exists"):
            orchestration.wait(20)
        assert orchestration.task().wait(20).status() is RunStatus.FAILURE


class TestKillingThePackaging:
    def test_before_it_started_fails_it_and_what_waits_for_it(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        orchestration = client.upload_orchestration(path=folder(large_bundles.files("print('hello')")))
        task = orchestration.run_once()
        assert orchestration.task().kill() is TaskStatus.KILLED
        with pytest.raises(PackagingFailed, match="killed"):
            orchestration.wait()
        assert (task.status(), task.wait().status()) == (TaskStatus.FAILED, RunStatus.FAILURE)
        gate.touch()

    def test_ends_the_installer(self, open_client: OpenClient, missing: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
            orchestration = open_client(index_urls=[url]).upload_orchestration(path=missing)
            silent.settimeout(20)
            connection, _ = silent.accept()  # the installer is running
            orchestration.task().kill()
            with connection, pytest.raises(PackagingFailed, match="killed on request"):
                orchestration.wait(20)
        assert orchestration.task().status() is TaskStatus.KILLED
        assert orchestration.task().wait().status() is RunStatus.KILLED


_SILENT = """
import sys
import orchlite
from pathlib import Path

bundle = Path(sys.argv[1], "bundle")
bundle.mkdir()
(bundle / "main.py").write_text("print('hello')")
(bundle / "requirements.txt").write_text("orchlite-no-such-package==1.0")
with orchlite.Client(Path(sys.argv[1], "store"), index_urls=[sys.argv[2]]) as client:
    try:
        client.run(bundle)
    except orchlite.PackagingFailed:
        sys.exit(42)
"""


@pytest.mark.slow
def test_nothing_is_printed_or_logged_by_default(tmp_path: Path, nothing_index: str) -> None:
    root = str(Path(orchlite.__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{_SILENT}", str(tmp_path), nothing_index]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (42, "", "")


def test_what_happens_can_be_followed_in_the_log_of_the_host(
    client: orchlite.Client, folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="orchlite"):
        run = client.run(folder("print('hello')"))
    told = [record for record in caplog.records if run.id() in record.getMessage()]
    assert told
    assert {record.name.partition(".")[0] for record in told} == {"orchlite"}


def test_the_folders_of_runs_are_this_accounts_only(client: orchlite.Client, folder: MakeFolder) -> None:
    client.run(folder({"main.py": "print(1)", "requirements.txt": ""}))
    folders = [path for path in (client.path() / "runs").rglob("*") if path.is_dir() and "work" not in path.parts]
    assert len(folders) >= 4
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
