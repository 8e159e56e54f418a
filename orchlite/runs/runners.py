"""The host's side of the runners: hand runs over, look what became of them, cancel, clear up what a lost one left.

Every verb goes by the run's folder and may be repeated. The files and the lock in it are the truth; the pipe to a runner only says
when to observed. What the runner does with a run is its own business (`runner/`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from orchlite.core.errors import Closed
from orchlite.core.files import is_locked, private_opener
from orchlite.core.folders import RunFolder
from orchlite.core.records import RunResult
from orchlite.core.status import RunStatus
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, Observation, RunSpec

if TYPE_CHECKING:
    from subprocess import Popen

_POLL_SECONDS = 0.1
# An interpreter that is built with a shared library may not start without the latter.
_NEEDED_TO_START = ("PATH", "LD_LIBRARY_PATH")
_SWEEP_SECONDS = 10.0
_UNBORN_SECONDS = 0.5
_TOKEN_NAME = b"ORCHLITE_RUN_TOKEN="


class Runners:
    """Starts runners when they are needed and keeps idle ones warm; implements `records.Process`."""

    def __init__(self, diagnostics: Path) -> None:
        """`diagnostics` is a file that takes what a runner says when it breaks."""
        self._diagnostics = diagnostics
        self._lock = threading.Lock()
        self._idle: list[Popen[bytes]] = []
        self._busy: dict[str, Popen[bytes]] = {}
        self._pid = os.getpid()
        self._is_closed = False
        _runners.add(self)

    def warm(self) -> None:
        """Have an idle runner ready."""
        with self._lock:
            if not self._idle and not self._is_closed:  # a packaging may outlive its client
                self._idle.append(self._start())

    def place(self, spec: RunSpec) -> None:
        """Hand the run to an idle runner, starting one where there is none, and note its spec in its folder. Returns at once.

        Raises:
            OSError: no runner can be started.
        """
        text = json.dumps(spec._asdict())
        self._request(spec.run_id, text.encode() + b"\n")
        # For whoever wants to know afterwards; the runner has it from its pipe, and is at work already: no failure may undo that.
        path = RunFolder(Path(spec.folder)).attempt(spec.attempt).spec
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8", opener=private_opener) as file:
            file.write(text)

    def _request(self, run_id: str, request: bytes) -> None:
        while True:
            runner = self._take(run_id)
            try:
                _write(runner, request)
            except BrokenPipeError:  # it died while it was idle
                with self._lock:
                    del self._busy[run_id]
                _dismiss(runner)
            else:
                return

    def wait(self, folder: RunFolder) -> Observation:
        """Block until the run has no owner any more, then observed. For a run of this host's own runner the runner says when."""
        runner = self._busy.get(folder.run_id)
        if runner is None:
            return self._wait_for_stranger(folder)
        answer = _read_line(runner)
        with self._lock:
            del self._busy[folder.run_id]
            stays = answer is not None and not self._is_closed
            if stays:
                self._idle.append(runner)
        if not stays:
            _dismiss(runner)
        if answer is None:  # it died, and a program that it was just starting holds the lock a moment longer than the pipe
            return self._wait_for_stranger(folder)
        ended = json.loads(answer)["result"]  # what stands in `result.json`, written before the answer
        return self._wait_for_stranger(folder) if ended is None else Ended(ended["attempt"], _result(ended))

    def observe(self, folder: RunFolder) -> Observation:
        """What the run's lock and files say now."""
        # The order matters: a result that is written after the lock was found free would be missed the other way round.
        if is_locked(folder.alive_lock):
            return Alive()
        attempt = (_read_json(folder.started) or {}).get("attempt")
        if not isinstance(attempt, int):
            return Lost(None) if folder.started.exists() else NeverStarted()
        try:
            return Ended(attempt, _result(_read_json(folder.attempt(attempt).result) or {}))
        except (LookupError, TypeError, ValueError):
            return Lost(attempt)  # no result, or none that can be understood

    def cancel(self, folder: RunFolder, reason: str) -> None:
        """Ask whoever owns the run, now or later, to end it; the runner looks for the request several times a second."""
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = folder.cancel.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        # A full disk may have room for the file's name and none for its text: that it is there is what counts.
        with contextlib.suppress(OSError), open(aside, "w", encoding="utf-8", opener=private_opener) as file:
            file.write(reason)
        aside.replace(folder.cancel)

    def discard(self, folder: RunFolder) -> None:
        """Kill what a lost run left alive: every process that bears the run's token in its environment."""
        begun_at = now = time.monotonic()
        survivors = _bearers(folder.run_id)
        # A program that its runner was just starting bears the token only once it has begun, which may be after the runner's death.
        while now < begun_at + (_SWEEP_SECONDS if survivors else _UNBORN_SECONDS):
            for pid in survivors:
                _kill_bearer(pid, folder.run_id)
            time.sleep(0.005 if survivors else _UNBORN_SECONDS / 10)
            survivors, now = _bearers(folder.run_id), time.monotonic()

    def close(self) -> None:
        """Close the pipes: idle runners end at once, busy ones finish their run (or cancel it, where it is on a leash)."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy.values())
        for runner in idle:
            _dismiss(runner)
        for runner in busy:
            assert runner.stdin is not None
            runner.stdin.close()

    def _take(self, run_id: str) -> Popen[bytes]:
        # In one step, so that whoever closes or forks sees each runner as idle or as busy.
        with self._lock:
            if self._is_closed:
                raise Closed("This client is closed.", hint="The next host of the store starts the run.")
            runner = self._busy[run_id] = self._idle.pop() if self._idle else self._start()
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

    def _wait_for_stranger(self, folder: RunFolder) -> Observation:
        while isinstance(observed := self.observe(folder), Alive):
            time.sleep(_POLL_SECONDS)
        return observed

    def _forget(self) -> None:
        """In a forked child: let go of the pipes, so that the parent's end is seen by its runners."""
        for runner in [*self._idle, *self._busy.values()]:
            for pipe in (runner.stdin, runner.stdout):
                assert pipe is not None
                pipe.close()
            runner.returncode = 0  # it is the parent's child: this process must neither wait for it nor warn about it
        self._idle, self._busy, self._lock = [], {}, threading.Lock()


_runners: WeakSet[Runners] = WeakSet()


def _forget_in_child() -> None:
    for runners in list(_runners):
        runners._forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _dismiss(runner: Popen[bytes]) -> None:
    """Close an idle or dead runner's pipes and reap it."""
    for pipe in (runner.stdin, runner.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()
    runner.wait()


def _write(runner: Popen[bytes], request: bytes) -> None:
    assert runner.stdin is not None
    while request:
        request = request[os.write(runner.stdin.fileno(), request) :]


def _read_line(runner: Popen[bytes]) -> bytes | None:
    """The runner's answer, for which this blocks; None where the runner died first. There is never more than one on its way."""
    assert runner.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(runner.stdout.fileno(), 65536)
        if not data:
            return None
        line += data
    return line


def _read_json(path: Path) -> dict[str, Any] | None:
    """The file's object; None where it is absent, empty or torn."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _result(found: dict[str, Any]) -> RunResult:
    return RunResult(
        status=RunStatus(found["status"]),
        exit_code=found["exit_code"],
        started_at=_at(found["started_at_ns"]),
        ended_at=_at(found["ended_at_ns"]) or datetime.now(UTC),
        duration_seconds=found["duration_seconds"],
        reason=found["reason"],
        log_complete=found["log_complete"],
        left=tuple(found["left"]),
    )


def _at(nanoseconds: int | None) -> datetime | None:
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _bears(pid: int, run_id: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return _TOKEN_NAME + run_id.encode() in environment


def _bearers(run_id: str) -> list[int]:
    try:
        names = [path.name for path in Path("/proc").iterdir()]
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal() and _bears(int(name), run_id)]


def _kill_bearer(pid: int, run_id: str) -> None:
    """SIGKILL through a pidfd, after a second look: a pid alone may have passed to a stranger."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if _bears(pid, run_id):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
