"""Waits for changes that this host makes: the change wakes each of them before it polls the store."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

import orchlite
from orchlite.client.client import engine_of
from orchlite.core.clock import SystemClock
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.environments.builds import Installation
from orchlite.environments.environments import Environments
from orchlite.runs.spec import Alive, Ended, Observation, RunSpec

Until = Callable[[Callable[[], object]], None]
Wait = Callable[[], object]

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
_TRIES = 3
_WATCHER = "orchlite-change-watcher"


class _Waiter(threading.Thread):
    """A thread that waits for a change. It records its readings of the clock, which it reads before and after it blocks."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(daemon=True)
        self._wait = wait
        self._times: list[float] = []
        self.is_waiting = threading.Event()

    def run(self) -> None:
        with suppress(orchlite.Closed):
            self._wait()

    def record(self, monotonic_seconds: float) -> None:
        self._times.append(monotonic_seconds)
        self.is_waiting.set()

    def polls(self) -> int:
        """Return how often it blocked until the next poll was due."""
        return sum(after - before >= _POLL_SECONDS for before, after in zip(self._times, self._times[1:], strict=False))


class _Clock(SystemClock):
    """A clock that tells waiters of their readings, and blocks the threads that watch for the changes of other hosts."""

    def __init__(self) -> None:
        self.watcher_may_poll = threading.Event()
        self.watchers = set[threading.Thread]()

    def now(self) -> datetime:
        self._hold_watcher()
        return super().now()

    def monotonic(self) -> float:
        seconds = super().monotonic()
        if isinstance(waiter := threading.current_thread(), _Waiter):
            waiter.record(seconds)
        return seconds

    def _hold_watcher(self) -> None:
        if threading.current_thread().name == _WATCHER:
            self.watcher_may_poll.wait()
            self.watchers.add(threading.current_thread())


class _Process:
    """Runs without a program; each ends when the test says so."""

    def __init__(self) -> None:
        self._ended: dict[str, threading.Event] = {}

    def end(self, run_id: str) -> None:
        self._ended.setdefault(run_id, threading.Event()).set()

    def warm(self) -> None: ...

    def place(self, spec: RunSpec) -> None: ...

    def prepare(self, spec: RunSpec) -> None: ...

    def drop(self, folder: RunFolder) -> None: ...

    def wait(self, folder: RunFolder) -> Observation:
        self._ended.setdefault(folder.run_id, threading.Event()).wait()
        return Ended(1, RunResult(RunStatus.SUCCESS, 0, None, datetime.now(UTC), None))

    def observe(self, folder: RunFolder) -> Observation:
        return Alive()

    def cancel(self, folder: RunFolder, reason: str) -> None: ...

    def discard(self, folder: RunFolder) -> tuple[int, ...]:
        return ()

    def close(self) -> None: ...


class _Environments(Environments):
    """The environments of a cache; a worker's `find` blocks until the test releases it."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.is_sought, self.may_be_found = threading.Event(), threading.Event()

    def find(self, key: str) -> Installation | None:
        if threading.current_thread() is threading.main_thread():
            return None
        self.is_sought.set()
        self.may_be_found.wait()
        return super().find(key)


class _Scene:
    """A host with one worker on a new store, and what a test needs to make one change there."""

    def __init__(self, store: Path, cache: Path, bundle: bytes, until: Until) -> None:
        self.bundle, self.until = bundle, until
        self._store = store
        self.clock, self.process, self.environments = _Clock(), _Process(), _Environments(cache)
        self.client = self.open()
        self.others: list[orchlite.Client] = []

    def open(self) -> orchlite.Client:
        return orchlite.Client(self._store, workers=1, clock=self.clock, process=self.process, environment=self.environments)

    def open_another(self) -> orchlite.Client:
        self.others.append(self.open())
        return self.others[-1]

    def upload(self, client: orchlite.Client | None = None) -> orchlite.Orchestration:
        self.environments.may_be_found.set()
        return (client or self.client).upload_orchestration(self.bundle).wait()

    def start(self, orchestration: orchlite.Orchestration) -> orchlite.TaskRun:
        """Start a run, and wait until it is running."""
        run = _run(orchestration)
        self.until(lambda: run.status() == "running")
        return run

    def close(self) -> None:
        for client in (self.client, *self.others):
            client.close(drain=False)
        self.clock.watcher_may_poll.set()


def _run(orchestration: orchlite.Orchestration) -> orchlite.TaskRun:
    [run] = orchestration.run_once().last_runs()
    return run


def _its_run_ends(scene: _Scene) -> tuple[Wait, Wait]:
    run = scene.start(scene.upload())
    return run.wait, lambda: scene.process.end(run.id())


def _its_queued_run_starts(scene: _Scene) -> tuple[Wait, Wait]:
    orchestration = scene.upload()
    first, queued = scene.start(orchestration), _run(orchestration)
    return lambda: engine_of(scene.client).waiting.for_start(queued.id()), lambda: scene.process.end(first.id())


def _its_queued_run_is_killed(scene: _Scene) -> tuple[Wait, Wait]:
    orchestration = scene.upload()
    scene.start(orchestration)
    queued = _run(orchestration)
    return queued.wait, queued.kill


def _its_packaging_ends(scene: _Scene) -> tuple[Wait, Wait]:
    orchestration = scene.client.upload_orchestration(scene.bundle)
    assert scene.environments.is_sought.wait(_PATIENCE_SECONDS)
    return orchestration.wait, scene.environments.may_be_found.set


def _it_is_closed(scene: _Scene) -> tuple[Wait, Wait]:
    run = scene.start(scene.upload())
    return run.wait, lambda: scene.client.close(drain=False)


def _a_run_of_another_host_ends_while_it_is_busy(scene: _Scene) -> tuple[Wait, Wait]:
    other = scene.start(scene.upload(scene.open_another()))
    scene.start(scene.upload())
    run = scene.client.get_task_run_by_id(other.id())
    scene.clock.watcher_may_poll.set()
    scene.until(lambda: len(scene.clock.watchers) == 2)  # they poll ten times a second from now on, for both hosts are busy
    return run.wait, lambda: scene.process.end(run.id())


_HAPPENINGS = [
    _its_run_ends,
    _its_queued_run_starts,
    _its_queued_run_is_killed,
    _its_packaging_ends,
    _it_is_closed,
    _a_run_of_another_host_ends_while_it_is_busy,
]


@pytest.fixture
def new_scene(
    tmp_path: Path, empty_store: Path, shared_cache: Path, smallest_bundle: bytes, until: Until
) -> Iterator[Callable[[], _Scene]]:
    scenes: list[_Scene] = []

    def make() -> _Scene:
        store = shutil.copytree(empty_store, tmp_path / f"store-{len(scenes)}")
        scenes.append(_Scene(store, shared_cache, smallest_bundle, until))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


def _polls(wait: Wait, happens: Wait) -> int:
    """Return how often a wait polls before it ends, if the change happens just after its start."""
    waiter = _Waiter(wait)
    waiter.start()
    assert waiter.is_waiting.wait(_PATIENCE_SECONDS)
    happens()
    waiter.join(_PATIENCE_SECONDS)
    assert not waiter.is_alive()
    return waiter.polls()


@pytest.mark.parametrize("happening", [pytest.param(each, id=each.__name__.strip("_").replace("_", " ")) for each in _HAPPENINGS])
def test_a_hosts_wait_has_not_polled_when(new_scene: Callable[[], _Scene], happening: Callable[[_Scene], tuple[Wait, Wait]]) -> None:
    # One try of three is enough: on a busy machine the change itself may take longer than a poll.
    assert any(_polls(*happening(new_scene())) == 0 for _ in range(_TRIES))
