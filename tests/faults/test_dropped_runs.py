"""A run that its own host has dropped, because of something that nobody thought of: it comes to its end all the same, and so do others."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

import orchlite
from orchlite import Closed, RunStatus
from orchlite.core.clock import SystemClock
from orchlite.core.folders import RunFolder
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Alive, Ended, Observation, RunSpec

MakeFolder = Callable[..., Path]
CheckStore = Callable[..., dict[str, str]]
OpenClient = Callable[..., orchlite.Client]
MakeSpec = Callable[..., RunSpec]

_PATIENCE_SECONDS = 20.0
_HURRY = 10
_TALKS = "import time; print('begun', flush=True); time.sleep(0.3); print('done')"
_SAID = "begun\ndone\n"


class _Broken(Runners):
    """Its first waits come to nothing: at once, or when the run has ended."""

    def __init__(self, folder: Path, times: int, *, first_waits: bool = False) -> None:
        super().__init__(folder / "broken.log")
        self._left = times
        self._first_waits = first_waits

    def wait(self, folder: RunFolder) -> Observation:
        self._left -= 1
        observed = super().wait(folder) if self._first_waits or self._left < 0 else None
        if observed is None or self._left >= 0:
            raise RuntimeError("nobody thought of this")
        return observed


class _Blind(Runners):
    """Cannot look at one of the runs."""

    def __init__(self, folder: Path, run_id: str) -> None:
        super().__init__(folder / "blind.log")
        self._run_id = run_id

    def observe(self, folder: RunFolder) -> Observation:
        if folder.run_id == self._run_id:
            raise RuntimeError("nobody thought of this")
        return super().observe(folder)


class _HurriedClock(SystemClock):
    """On which the second between two looks at what was dropped is soon over."""

    def monotonic(self) -> float:
        return super().monotonic() * _HURRY


class _BrokenClock(_HurriedClock):
    """Fails when a packaging begins, and when it notes that."""

    def __init__(self) -> None:
        self._calls = itertools.count(1)

    def now(self) -> datetime:
        if threading.current_thread().name.startswith("orchlite-worker") and next(self._calls) in (2, 3):  # the first is the claim's
            raise RuntimeError("nobody thought of this")
        return super().now()


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[OpenClient]:
    clients: list[orchlite.Client] = []

    def make(**settings: object) -> orchlite.Client:
        clients.append(orchlite.Client(tmp_path / "store", **{"workers": 1, "base_image": "clean", "clock": _HurriedClock(), **settings}))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close(drain=False)


def _await(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(1000, id="every time", marks=pytest.mark.slow)])
@pytest.mark.parametrize("first_waits", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["while it goes on", "when it has ended"])
def test_a_run_whose_wait_broke_has_its_end_and_its_place_is_free(
    open_client: OpenClient, folder: MakeFolder, tmp_path: Path, check_store: CheckStore, times: int, first_waits: bool
) -> None:
    client = open_client(process=_Broken(tmp_path, times, first_waits=first_waits))
    orchestration = client.upload_orchestration(path=folder(_TALKS)).wait()
    runs = [orchestration.run_once().wait(_PATIENCE_SECONDS * _HURRY) for _ in range(2)]
    assert [(run.status(), str(run.logs())) for run in runs] == [("success", _SAID)] * 2
    client.close()
    check_store(client.path(), [run.id() for run in runs])


def test_who_only_asks_for_the_status_hears_of_its_end(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    client = open_client(process=_Broken(tmp_path, 1))
    [run] = client.upload_orchestration(path=folder(_TALKS)).wait().run_once().last_runs()
    _await(lambda: run.status().is_final)
    assert run.status() is RunStatus.SUCCESS


def test_who_works_for_the_whole_store_records_it_unasked(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    client = open_client(process=_Broken(tmp_path, 1)).start()
    [run] = client.upload_orchestration(path=folder(_TALKS)).wait().run_once().last_runs()
    _await(lambda: any(event.object_id() == run.id() and event.became() == "success" for event in client.events()))


def test_a_client_that_drains_waits_for_it(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    with open_client(process=_Broken(tmp_path, 1)) as client:
        [run] = client.upload_orchestration(path=folder(_TALKS)).wait().run_once().last_runs()
    assert open_client().get_task_run_by_id(run.id()).status() is RunStatus.SUCCESS


def test_an_adopted_run_whose_wait_broke_has_its_end(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    first = open_client()
    [run] = first.upload_orchestration(path=folder(_TALKS.replace("0.3", "1"))).wait().run_once().last_runs()
    next(run.logs(follow=True))
    first.close(drain=False)
    adopter = open_client(process=_Broken(tmp_path, 1))
    adopted = adopter.get_task_run_by_id(run.id())
    assert adopted.wait(_PATIENCE_SECONDS * _HURRY).status() is RunStatus.SUCCESS
    assert str(adopted.logs()) == _SAID


def test_one_that_cannot_be_looked_after_does_not_keep_the_others(open_client: OpenClient, folder: MakeFolder, tmp_path: Path) -> None:
    first = open_client(workers=2)
    orchestration = first.upload_orchestration(path=folder(_TALKS)).wait()
    runs = [orchestration.run_once().last_runs()[0] for _ in range(2)]
    for run in runs:
        next(run.logs(follow=True))
    first.close(drain=False)
    other = open_client(process=_Blind(tmp_path, runs[0].id())).start().get_task_run_by_id(runs[1].id())
    assert other.wait(_PATIENCE_SECONDS * _HURRY).status() is RunStatus.SUCCESS


def test_packaging_that_was_dropped_is_done_anew(open_client: OpenClient, folder: MakeFolder, check_store: CheckStore) -> None:
    client = open_client(clock=_BrokenClock())
    orchestration = client.upload_orchestration(path=folder(_TALKS))
    assert orchestration.run_once().wait(_PATIENCE_SECONDS * _HURRY).status() is RunStatus.SUCCESS
    client.close()
    assert set(check_store(client.path()).values()) == {"success"}


def test_a_run_that_its_runner_has_not_begun_yet_is_alive_and_not_given_to_another(runners: Runners, make_spec: MakeSpec) -> None:
    spec = make_spec("exit 3")
    folder = RunFolder(Path(spec.folder))
    runners.place(spec)  # the first of these runners, which has an interpreter to start
    assert isinstance(runners.observe(folder), Alive)
    assert isinstance(runners.wait(folder), Ended)


def test_a_runner_whose_run_was_only_observed_serves_others(runners: Runners, make_spec: MakeSpec) -> None:
    pids = set()
    for _ in range(3):
        folder = _placed(runners, make_spec("exit 3"))
        while isinstance(runners.observe(folder), Alive):
            time.sleep(0.005)
        assert isinstance(runners.observe(folder), Ended)
        pids.add(_runner_of(folder))
    assert len(pids) == 1


def test_two_threads_that_wait_for_one_run_see_the_same_end(runners: Runners, make_spec: MakeSpec) -> None:
    folder = _placed(runners, make_spec("sleep 0.1"))
    seen: list[Observation] = []
    threads = [threading.Thread(target=lambda: seen.append(runners.wait(folder))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_closing_waits_in_the_background_for_a_runner_that_no_thread_waits_for(runners: Runners, make_spec: MakeSpec) -> None:
    folder = _placed(runners, make_spec("sleep 0.1"))
    _await(lambda: folder.started.exists() and folder.started.read_bytes())  # it is created empty
    runners.close()
    _await(lambda: not Path(f"/proc/{_runner_of(folder)}").exists())  # a zombie would stay
    assert isinstance(runners.observe(folder), Ended)


def test_a_run_on_a_leash_ends_although_its_pool_was_closed_while_the_request_was_written(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec("sleep 60", leash=True)
    spec = spec._replace(env={**spec.env, "LONG": "x" * 100_000})  # more than a pipe holds, so that writing waits for the runner's start
    pool = Runners(tmp_path / "pool.log")
    outcomes: list[Observation | Closed] = []

    def place() -> None:
        try:
            pool.place(spec)
            outcomes.append(pool.wait(RunFolder(Path(spec.folder))))
        except Closed as error:
            outcomes.append(error)

    thread = threading.Thread(target=place)
    thread.start()
    while not (tmp_path / "pool.log").exists():  # which a runner that is started opens
        time.sleep(0.0002)
    pool.close()
    thread.join(_PATIENCE_SECONDS)
    [outcome] = outcomes
    assert isinstance(outcome, Closed) or (isinstance(outcome, Ended) and outcome.result.reason == "its host is gone")


def _placed(runners: Runners, spec: RunSpec) -> RunFolder:
    runners.place(spec)
    return RunFolder(Path(spec.folder))


def _runner_of(folder: RunFolder) -> int:
    pid: int = json.loads(folder.started.read_bytes())["pid"]
    return pid
