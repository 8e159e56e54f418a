"""The handle of one run of a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, overload

from orchlite.client.live_status import live_status
from orchlite.core.arguments import checked_count, checked_seconds
from orchlite.core.errors import IllegalMove, RunFailed
from orchlite.core.hints import PythonOnly
from orchlite.core.records import RunRow
from orchlite.core.status import RunStatus
from orchlite.core.tables import table_html
from orchlite.engine.engine import Engine
from orchlite.runs import logs
from orchlite.runs.logs import Log, LogLine

_SHOWN_LINES = 20


class TaskRun:
    """One run: its status, its log, what it left. Every method but `wait` and a followed log answers at once."""

    def __init__(self, engine: Engine, run_id: str, task_id: str) -> None:
        self._engine = engine
        self._run_id = run_id
        self._task_id = task_id
        self._end: RunRow | None = None

    def id(self) -> str:
        """The run's id, a UUID."""
        return self._run_id

    def task(self) -> str:
        """The id of the task that it is a run of."""
        return self._task_id

    def status(self) -> RunStatus:
        """The status now; a text as well: `run.status() == "success"`."""
        return self._row().status

    def exit_code(self) -> int | None:
        """The program's exit code, 128+n where signal n ended it; None while it runs, and where nothing was started."""
        return self._row().exit_code

    def duration(self) -> float | None:
        """Seconds from start to end; None while it runs, and where nothing was started."""
        return self._row().duration_seconds

    def created_at(self) -> datetime:
        """When it was submitted: aware, UTC."""
        return self._row().created_at

    def scheduled_at(self) -> datetime | None:
        """The slot that it is the run of, or that was skipped: aware, UTC; None for runs that no schedule asked for."""
        return self._row().slot_at

    def started_at(self) -> datetime | None:
        """When its program was started (while it runs: when it was claimed): aware, UTC."""
        row = self._row()
        return row.started_at if row.status.is_final else row.claimed_at

    def ended_at(self) -> datetime | None:
        """When it ended: aware, UTC; None until then."""
        return self._row().ended_at

    def reason(self) -> str | None:
        """Why it ended as it did, where that was not the program's own doing."""
        return self._row().reason

    def log_is_complete(self) -> bool:
        """False where output was lost because the disk was full."""
        return self._row().log_complete

    @overload
    def logs(self, limit: int | None = None, *, follow: Literal[False] = False) -> Log: ...

    @overload
    def logs(self, limit: int | None = None, *, follow: Literal[True]) -> Iterator[LogLine]: ...

    def logs(self, limit: int | None = None, *, follow: bool = False) -> Log | Iterator[LogLine]:
        """What the run has written so far: the newest `limit` lines, all by default.

        With `follow`, an iterator over these lines and all that arrive after them, until the run ends.
        """
        if limit is not None:
            checked_count(limit, "limit", 0)
        return self._follow(limit) if follow else self._logs(limit)

    def wait(self, timeout: float | None = None) -> TaskRun:
        """Block until the run has ended, `timeout` seconds at most; answers itself. A notebook shows its status meanwhile.

        Raises:
            WaitTimeout: it has not ended; nothing was killed.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(lambda: f"run {self._run_id}: {self.status()}"):
            self._end = self._engine.waiting.for_run(self._run_id, seconds)
        return self

    def kill(self) -> RunStatus:
        """Ask for the run's end, and answer its status now.

        A queued run ends at once; a running one is told to (SIGTERM), and after the grace it is killed with all its processes (SIGKILL).

        Raises:
            IllegalMove: it has ended already.
        """
        self._engine.kill_run(self._run_id)
        return self.status()

    def files(self) -> list[Path]:
        """What the program made or changed in its working folder: absolute paths, sorted."""
        return self._engine.files(self._run_id)

    def raise_for_failure(self) -> TaskRun:
        """Answer itself where the run was a success.

        Raises:
            RunFailed: it ended in any other way; the message ends with its last lines.
            IllegalMove: it has not ended.
        """
        __tracebackhide__ = True  # pytest then shows the test's own line
        row = self._row()
        if not row.status.is_final:
            raise IllegalMove(f"Run {self._run_id} is {row.status}.", hint=PythonOnly("Call wait() first."), status=row.status)
        if row.status is not RunStatus.SUCCESS:
            raise RunFailed(self._failure(row), run_id=self._run_id, status=row.status, exit_code=row.exit_code)
        return self

    def _failure(self, row: RunRow) -> str:
        how = "" if row.exit_code is None else f" with exit code {row.exit_code}"
        why = f": {row.reason}" if row.reason else ""
        shown = str(self._logs(_SHOWN_LINES)).rstrip("\n")
        return f"Run {self._run_id} ended as {row.status}{how}{why}.\n{shown}"

    def _row(self) -> RunRow:
        """The run as it stands now. An end never changes, so it is kept, and can be asked for when the client is closed."""
        if self._end is not None:
            return self._end
        row = self._engine.poll_run(self._run_id)
        self._end = row if row.status.is_final else None
        return row

    def _log_path(self, row: RunRow) -> Path:
        return self._engine.context.folder.run(self._run_id).attempt(row.attempt).log

    def _logs(self, limit: int | None) -> Log:
        row = self._row()
        found = logs.read(self._log_path(row), limit)
        if not found and row.attempt == 0 and row.reason is not None and limit != 0:
            return logs.of_text(row.created_at, row.reason)  # it was never started; why is all there is to read
        return found

    def _follow(self, limit: int | None) -> Iterator[LogLine]:
        row = self._started()
        if row.attempt == 0:
            yield from self._logs(limit)
        followed = 0
        while row.attempt != followed:  # else it has ended in the attempt that was followed
            followed = row.attempt
            yield from logs.follow(self._log_path(row), partial(self._is_over, followed), limit)
            row = self._started()

    def _started(self) -> RunRow:
        row = self._row()
        return self._engine.waiting.for_start(self._run_id) if row.status is RunStatus.QUEUED else row

    def _is_over(self, attempt: int) -> bool:
        """Whether nothing more will come of this attempt: the run has ended, or is queued again, or another attempt has begun."""
        row = self._row()
        return row.status is not RunStatus.RUNNING or row.attempt != attempt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskRun) and self._run_id == other._run_id

    def __hash__(self) -> int:
        return hash(self._run_id)

    def __repr__(self) -> str:
        return f"TaskRun(id={self._run_id!r}, status={str(self.status())!r})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "task", "status", "exit code", "started at", "seconds")

    def _cells(self) -> Sequence[object]:
        row = self._row()
        seconds = None if row.duration_seconds is None else round(row.duration_seconds, 3)
        return (row.run_id, row.task_id, row.status, row.exit_code, row.started_at, seconds)

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])
