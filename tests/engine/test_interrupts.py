"""An interrupt (Ctrl-C) may arrive anywhere: afterwards the store is not locked, and what it contains is executed."""

from __future__ import annotations

import dis
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from orchlite import Client, RunStatus
from orchlite.engine import submission, workers
from orchlite.operations import execution
from orchlite.store import database

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]

_TRIES = 5


class _Interrupt:
    """Interrupts a call at its n-th line in some functions, by default those of transactions; a debugger's hook counts them.

    What is done inside a transaction is not counted: its length differs between a run that begins at once and one that is queued.
    """

    def __init__(self, at_line: int, file: str = database.__file__, functions: Collection[str] = ("transaction", "_connection")) -> None:
        self._left = at_line
        self._file, self._functions = file, functions

    def during(self, call: Callable[[], object]) -> bool:
        """Return whether the call was interrupted; False if it has fewer lines."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            call()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != self._file or frame.f_code.co_name not in self._functions:
            return None
        if event == "line":
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt
        return self._trace


class _InterruptAfterCall(_Interrupt):
    """Interrupts after the n-th call that the functions make, where CPython handles signals; not before the first line of a `finally`."""

    def __init__(self, at_call: int, file: str, functions: Collection[str]) -> None:
        super().__init__(at_call, file, functions)
        self._was_call = False

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != self._file or frame.f_code.co_name not in self._functions:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._left -= self._was_call
            if self._was_call and not self._left:
                raise KeyboardInterrupt
            self._was_call = dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("CALL")
        return self._trace


def _check_that_others_can_write(store: Path) -> None:
    with closing(sqlite3.connect(store / "store.sqlite", timeout=0.5, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def _count_interrupts(call: Callable[[], object], check: Callable[[], object]) -> int:
    count = 0
    while _Interrupt(count + 1).during(call):
        check()
        count += 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4], ids=["a worker that may be busy", "workers that are free"])
def test_a_submission_interrupted_at_any_line_of_its_transaction_is_executed_or_leaves_nothing(
    open_client: OpenClient, folder: MakeFolder, workers: int
) -> None:
    client = open_client(base_image="clean", workers=workers)
    orchestration = client.upload_orchestration(path=folder("")).wait()
    orchestration.run_once().wait()
    seen: set[str] = set()

    def check() -> None:
        _check_that_others_can_write(client.path())
        for task in client.list_tasks():
            if task.id() not in seen:
                assert task.wait(2).status() is RunStatus.SUCCESS
                seen.add(task.id())

    check()
    assert _count_interrupts(orchestration.run_once, check) > 10
    assert 1 < len(seen) < 10, "some came after the commit, most before"
    assert orchestration.run_once().wait(2).status() is RunStatus.SUCCESS


def test_a_write_interrupted_at_any_line_locks_nobody_out(open_client: OpenClient) -> None:
    client = open_client()
    names = (f"workspace-{number}" for number in range(1000))

    def check() -> None:
        _check_that_others_can_write(client.path())
        client.create_workspace(next(names))

    assert _count_interrupts(lambda: client.create_workspace(next(names)), check) > 10


@pytest.fixture
def interrupt() -> Iterator[signal.Signals]:
    """A signal that interrupts like Ctrl-C, also under a test runner that ignores the real one."""

    def raise_it(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, raise_it)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def test_an_interrupt_while_another_program_holds_the_lock_leaves_no_transaction_open(
    open_client: OpenClient, interrupt: signal.Signals
) -> None:
    client = open_client()
    stranger = sqlite3.connect(client.path() / "store.sqlite", isolation_level=None, check_same_thread=False)
    stranger.execute("BEGIN IMMEDIATE")

    def interrupt_the_wait() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, interrupt)
        time.sleep(0.05)
        stranger.execute("ROLLBACK")

    thread = threading.Thread(target=interrupt_the_wait)
    thread.start()
    with closing(stranger):
        with pytest.raises(KeyboardInterrupt):
            client.create_workspace("mine")
        thread.join()
        stranger.execute("PRAGMA busy_timeout=500")
        stranger.execute("BEGIN IMMEDIATE")
        stranger.execute("ROLLBACK")
    client.create_workspace("mine")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")  # just opened, when it came
@pytest.mark.parametrize(
    ("file", "functions"),
    [
        (submission.__file__, ("_submit_run", "_submit_claimed")),
        (execution.__file__, ("prepare_at_once", "_try_prepare", "_prepare")),
    ],
    ids=["submission", "preparation"],
)
def test_a_submission_that_is_interrupted_anywhere_loses_no_worker_and_leaves_no_folder(
    open_client: OpenClient, folder: MakeFolder, file: str, functions: Collection[str]
) -> None:
    client = open_client()
    orchestration = client.upload_orchestration(path=folder("")).wait()
    calls = 1

    def run() -> None:
        time.sleep(0.1)  # until the worker has prepared a run, and waits again: else the submission is queued, by fewer calls
        orchestration.run_once().wait(timeout=20)

    while any(_InterruptAfterCall(calls, file, functions).during(run) for _ in range(_TRIES)):
        assert orchestration.run_once().wait(timeout=20).status() == RunStatus.SUCCESS
        calls += 1
    assert calls > 10
    for task in client.list_tasks():  # an interrupt may have come after the commit
        task.wait(timeout=20)
    client.close()
    with closing(sqlite3.connect(client.path() / "store.sqlite")) as rows:
        ids = {run_id for (run_id,) in rows.execute("SELECT run_id FROM runs")}
    assert {path.name for path in (client.path() / "runs").iterdir()} <= ids


@pytest.mark.parametrize("line", [1, 2, 3])
def test_a_worker_whose_start_is_interrupted_is_missed_by_nobody(open_client: OpenClient, folder: MakeFolder, line: int) -> None:
    open_client().upload_orchestration(path=folder("")).wait()
    client = open_client()
    [orchestration] = client.list_orchestrations()
    assert _Interrupt(line, workers.__file__, ("_start_thread",)).during(orchestration.run_once)
    assert [orchestration.run_once().wait(timeout=20).status() for _ in range(2)] == [RunStatus.SUCCESS] * 2


_MOST_CALLS = 30


class _InterruptAtCall:
    """Interrupts a call before or after the n-th call that is made by some functions: where CPython raises an interrupt."""

    def __init__(self, at_call: int, file: str, functions: Collection[str]) -> None:
        self._left = at_call
        self._file, self._functions = file, functions

    def during(self, call: Callable[[], object]) -> bool:
        """Return whether the call was interrupted; False if these functions make fewer calls."""
        sys.setprofile(self._profile)
        try:
            call()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        return False

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        caller = {"call": frame.f_back, "c_return": frame}.get(event)
        if caller is not None and caller.f_code.co_filename == self._file and caller.f_code.co_name in self._functions:
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


@pytest.mark.slow
def test_a_submission_that_is_interrupted_at_any_call_is_executed_or_leaves_nothing(open_client: OpenClient, folder: MakeFolder) -> None:
    client = open_client(workers=4, standby_seconds=0)
    orchestration = client.upload_orchestration(path=folder("")).wait()
    interrupted = 0
    for number in range(1, _MOST_CALLS):  # in the end more than there are
        interrupt = _InterruptAtCall(number, submission.__file__, ("_submit_run", "_submit_claimed"))
        interrupted += interrupt.during(orchestration.run_once)
        for task in client.list_tasks():
            assert task.wait(timeout=20).status() is RunStatus.SUCCESS
    assert interrupted > 15
