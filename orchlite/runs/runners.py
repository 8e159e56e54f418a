"""The host's side of the runners: sends runs to them, waits for runs and cancels them.

Every method works on the run's folder and is idempotent. The files and the lock there are the truth; the pipe to a runner only saves
polling. `spec.py` describes files and messages; `runner/` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from orchlite.core.errors import Closed, ResourceExhausted
from orchlite.core.files import private_opener
from orchlite.core.folders import RunFolder
from orchlite.core.threads import start_daemon
from orchlite.runs.observation import checked_result, observe
from orchlite.runs.spec import Alive, Ended, NeverStarted, Observation, RunSpec
from orchlite.runs.survivors import discard

if TYPE_CHECKING:
    from subprocess import Popen

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0
"""How long an idle runner may take for a response, or to end."""
_log = logging.getLogger(__name__)
# An interpreter that was built with a shared library may not start without LD_LIBRARY_PATH.
_NEEDED_TO_START = ("PATH", "LD_LIBRARY_PATH")


class Runners:
    """A pool of runners, each a process that owns one run at a time; implements `protocol.Process`. Thread-safe."""

    def __init__(self, diagnostics: Path) -> None:
        """Start no runner yet. Runners append their standard error, empty unless they crash, to the file `diagnostics`."""
        self._diagnostics = diagnostics
        self._lock = threading.Lock()
        self._idle: list[Popen[bytes]] = []
        self._sending: dict[str, Popen[bytes]] = {}
        """By run id: the runners to which a thread is writing a request."""
        self._busy: dict[str, Popen[bytes]] = {}
        """By run id: the runners whose response has not been read. Each is read once, by whichever thread asks for the run first."""
        self._standbys: dict[str, Popen[bytes]] = {}
        """By run id: the runners that hold a run ready."""
        self._reading: set[str] = set()
        """The runs whose response a thread is reading."""
        self._pid = os.getpid()
        self._is_closed = False
        _runners.add(self)

    def warm(self) -> None:
        """Start a runner if none is idle, so that the next `place` need not.

        Raises:
            OSError: no runner can be started.
        """
        with self._lock:
            if not self._idle and not self._is_closed:  # packaging may continue after its client was closed
                self._idle.append(self._start())

    def place(self, spec: RunSpec) -> None:
        """Send the run to the runner that has prepared it, or to an idle or a new one. Return at once.

        A prepared run is started cold if its standby does not fit the spec, or is dead; that takes 0.5 s longer if its runner is dead, too.

        Raises:
            Closed: `close` was called.
            OSError: no runner can be started.
        """
        self._take_standby(spec.run_id)
        self._send(spec.run_id, spec._asdict(), self._busy)

    def prepare(self, spec: RunSpec) -> None:
        """Have a runner take the run's locks and start its program, held before its first statement until `place`. Return at once.

        The bundle is in the working folder, and nothing else changes there. At most once for a run. If it cannot be prepared, or not
        yet, `place` starts it cold. `drop` it if it is not placed.

        Raises:
            Closed: `close` was called.
            OSError: no runner can be started.
        """
        self._send(spec.run_id, {**spec._asdict(), "order": "prepare"}, self._standbys)
        with self._lock:  # `close` may have been called since the runner was taken
            runner = self._standbys.pop(spec.run_id, None) if self._is_closed else None
        if runner is not None:
            _dismiss(runner)

    def drop(self, folder: RunFolder) -> None:
        """End what `prepare` has started, and release the run's locks; then its folder can be removed.

        Block for milliseconds; 0.5 s if its runner is dead, 2.5 s if it is stopped, which kills it. Do nothing if the run is not prepared.
        """
        run_id = folder.run_id
        if not self._take_standby(run_id):
            return
        with self._lock:
            runner = self._sending[run_id]
        is_usable = False
        try:
            _write(runner, json.dumps({"order": "drop", "run_id": run_id}).encode() + b"\n")
            is_usable = _has_answered(runner, _PATIENCE_SECONDS) and _read_line(runner) is not None
        except BrokenPipeError:
            pass
        finally:
            if not is_usable:
                runner.kill()
            self._release(run_id, self._sending, is_usable=is_usable)
        if not is_usable:
            discard(folder)

    def _take_standby(self, run_id: str) -> bool:
        """Reserve the runner that holds the run ready for a request; return False if there is none."""
        with self._lock:
            runner = self._standbys.pop(run_id, None)
            if runner is not None:
                self._sending[run_id] = runner
        return runner is not None

    def _send(self, run_id: str, request: Mapping[str, Any], receivers: dict[str, Popen[bytes]]) -> None:
        """Send the request to the run's runner, else to an idle or a new one, and add that to `receivers`."""
        line = json.dumps(request).encode() + b"\n"
        while True:
            runner = self._take(run_id)
            try:
                _write(runner, line)
            except BrokenPipeError:  # the runner died while it was idle
                with self._lock:
                    del self._sending[run_id]
                _dismiss(runner)
                if (folder := RunFolder(Path(request["folder"]))).is_held():  # it had prepared the run
                    discard(folder)
            else:
                break
        with self._lock:
            receivers[run_id] = self._sending.pop(run_id)
            if self._is_closed:  # since the runner was taken: `close` closes no pipe that is being written to
                _close_input(runner)

    def wait(self, folder: RunFolder) -> Observation:
        """Block until the run has no owner, then observe it. Read the runner's response if the run is one of this pool, else poll."""
        runner = self._begin_reading(folder.run_id)
        return self._poll(folder) if runner is None else self._collect(runner, folder, self._poll)

    def observe(self, folder: RunFolder) -> Observation:
        """Return `Alive` while a runner of this pool has the run, even if it does not own it yet; else what the run's lock and files say.

        Raises:
            OSError: this process or the machine lacks descriptors or memory: observe the run again later.
        """
        with self._lock:
            is_ours = folder.run_id in self._sending or folder.run_id in self._busy
        if not is_ours:
            return observe(folder)
        runner = self._begin_reading(folder.run_id, only_if_answered=True)
        return Alive() if runner is None else self._collect(runner, folder, observe)

    def _begin_reading(self, run_id: str, *, only_if_answered: bool = False) -> Popen[bytes] | None:
        """Return the run's runner for this thread alone to read from; None if the run has none here, or another thread reads it."""
        with self._lock:
            runner = None if run_id in self._reading else self._busy.get(run_id)
            if runner is not None and only_if_answered and not _has_answered(runner):
                return None
            if runner is not None:
                self._reading.add(run_id)
            return runner

    def _collect(self, runner: Popen[bytes], folder: RunFolder, fallback: Callable[[RunFolder], Observation]) -> Observation:
        """Read the runner's response, and release the runner. If the response does not say everything, call `fallback`."""
        found = None
        try:
            answer = _read_line(runner)
            found = None if answer is None else json.loads(answer)
        finally:
            # Processes that could not be ended are children of the runner: it would try to end them after each later run.
            self._release(folder.run_id, self._busy, is_usable=found is not None and not (found["result"] and found["result"]["left"]))
        if found is None:  # the runner died; a program that it was just spawning may hold the lock a moment longer than the pipe
            return fallback(folder)
        if found.get("not_preloaded"):
            _log.warning("run %s was started without modules imported in advance: %s", folder.run_id, found["not_preloaded"])
        if found["result"] is not None:  # the content of `result.json`; a program that removes its own files loses nothing
            return Ended(found["result"]["attempt"], checked_result(found["result"]))
        observed = fallback(folder)
        return NeverStarted(found["refused"]) if isinstance(observed, NeverStarted) else observed

    def _release(self, run_id: str, holders: dict[str, Popen[bytes]], *, is_usable: bool) -> None:
        """Make the run's runner idle; dismiss it if it cannot be used again."""
        with self._lock:
            runner = holders.pop(run_id)
            self._reading.discard(run_id)
            is_kept = is_usable and not self._is_closed
            if is_kept:
                self._idle.append(runner)
        if not is_kept:
            _dismiss(runner)

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """Ask the run's owner, now or later, to end it. Return at once; runners check for the request every 50 ms.

        Raises:
            OSError: the request cannot be written, and the run has no owner that can be reached otherwise.
        """
        try:
            _write_request(folder, reason)
        except OSError:
            if not _mark_lock(folder) and not self._terminate(folder.run_id):
                raise

    def _terminate(self, run_id: str) -> bool:
        """Send SIGTERM to the run's runner, which ends it then; return False if the run is none of this pool."""
        with self._lock:  # while it is held, the runner gets no other run
            runner = self._busy.get(run_id) or self._sending.get(run_id)
            if runner is not None:
                runner.terminate()
        return runner is not None

    def discard(self, folder: RunFolder) -> tuple[int, ...]:
        """Kill the processes that a lost run has left; return the ids of those that are alive after 10 s. Block for 0.5 to 10 s."""
        return discard(folder)

    def close(self) -> None:
        """Close the pipes: idle runners exit, busy ones finish their run first, or cancel it if it is on a leash.

        Blocks until the idle runners have exited. Does nothing in a forked child.
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._is_closed = True
            idle, self._idle = [*self._idle, *self._standbys.values()], []
            self._standbys.clear()
            for runner in self._busy.values():
                _close_input(runner)
            unread = self._busy.keys() - self._reading
        for runner in idle:
            _dismiss(runner)
        for run_id in unread:  # the thread that should wait for it has failed, or does not wait yet
            with contextlib.suppress(ResourceExhausted):
                start_daemon(partial(self._reap, run_id), f"orchlite-reaper-{run_id}")

    def _reap(self, run_id: str) -> None:
        """Wait for a runner that no other thread waits for: a dead one would remain a zombie."""
        if (runner := self._begin_reading(run_id)) is not None:
            _read_line(runner)
            self._release(run_id, self._busy, is_usable=False)

    def _take(self, run_id: str) -> Popen[bytes]:
        # Under one lock, so that `close` and fork find each runner in exactly one place.
        with self._lock:
            if run_id in self._sending:  # it has prepared the run
                return self._sending[run_id]
            if self._is_closed:
                raise Closed("This client is closed.", hint="The next host of the store starts the run.")
            runner = self._sending[run_id] = self._idle.pop() if self._idle else self._start()
            return runner

    def _start(self) -> Popen[bytes]:
        from subprocess import PIPE, Popen

        program = Path(__file__).with_name("runner") / "start.py"
        interpreter = getattr(sys, "_base_executable", None) or sys.executable
        with open(self._diagnostics, "ab", opener=private_opener) as diagnostics:
            return Popen(
                [interpreter, "-I", "-S", "-u", str(program)],
                stdin=PIPE,
                stdout=PIPE,
                stderr=diagnostics,
                bufsize=0,
                start_new_session=True,
                env={name: os.environ[name] for name in _NEEDED_TO_START if name in os.environ},
            )

    def _poll(self, folder: RunFolder) -> Observation:
        while True:
            with contextlib.suppress(OSError):  # out of descriptors: for a while
                observed = self.observe(folder)
                if not isinstance(observed, Alive):
                    return observed
            time.sleep(_POLL_SECONDS)

    def _forget(self) -> None:
        """Close the pipes in a forked child: the runners see end of file only when the last copy is closed."""
        for runner in [*self._idle, *self._sending.values(), *self._standbys.values(), *self._busy.values()]:
            for pipe in (runner.stdin, runner.stdout):
                assert pipe is not None
                pipe.close()
            runner.returncode = 0  # not a child of this process, which must neither wait for it nor warn about it
        self._idle, self._sending, self._standbys, self._busy, self._lock = [], {}, {}, {}, threading.Lock()


_runners: WeakSet[Runners] = WeakSet()


def _forget_in_child() -> None:
    for runners in list(_runners):
        runners._forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _dismiss(runner: Popen[bytes]) -> None:
    """Close an idle or dead runner's pipes and reap it. Block until it has ended; kill it if it is stopped."""
    assert runner.stdout is not None
    _close_input(runner)
    if not _has_answered(runner, _PATIENCE_SECONDS):
        runner.kill()
    runner.stdout.close()
    runner.wait()


def _close_input(runner: Popen[bytes]) -> None:
    assert runner.stdin is not None
    with contextlib.suppress(OSError):
        runner.stdin.close()


def _has_answered(runner: Popen[bytes], patience_seconds: float = 0) -> bool:
    """Return whether the runner has responded, or is dead, so that reading from it does not block. Block for this long at most."""
    assert runner.stdout is not None
    poll = select.poll()
    poll.register(runner.stdout, select.POLLIN)
    return bool(poll.poll(patience_seconds * 1000))


def _write_request(folder: RunFolder, reason: str) -> None:
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder.cancel.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    # A full disk may have room for a new name but not for the text; the existence of the file is what counts.
    with contextlib.suppress(OSError), open(aside, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(reason)
    aside.replace(folder.cancel)


def _mark_lock(folder: RunFolder) -> bool:
    """Write the request into the mode of the lock: that needs neither an inode nor a block. Return False if there is no lock."""
    try:
        folder.alive_lock.chmod(0o700)
    except OSError:
        return False
    return True


def _write(runner: Popen[bytes], request: bytes) -> None:
    assert runner.stdin is not None
    while request:
        request = request[os.write(runner.stdin.fileno(), request) :]


def _read_line(runner: Popen[bytes]) -> bytes | None:
    """Block until the runner responds; None if it dies first. At most one response is in flight, so nothing is read beyond it."""
    assert runner.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(runner.stdout.fileno(), 65536)
        if not data:
            return None
        line += data
    return line
