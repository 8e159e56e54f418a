"""The handle of one run of a task."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from orchlite.client.live_status import live_status
from orchlite.core.arguments import checked_count, checked_flag, checked_path, checked_seconds, encoded_arguments
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument, DeviceFailed, IllegalMove, NotFound, RunFailed
from orchlite.core.hints import PythonOnly
from orchlite.core.records import Packages, Placement, RunRow, TaskRow
from orchlite.core.status import FAILED, RunStatus
from orchlite.core.system_errors import device_error, shortages
from orchlite.core.tables import preformatted, table_html
from orchlite.core.text import listed
from orchlite.engine.engine import Engine
from orchlite.operations import run_packages, workdirs
from orchlite.runs import logs
from orchlite.runs.logs import Log, LogLine

if TYPE_CHECKING:
    from orchlite.operations.comparison import Comparison

_SHOWN_LINES = 20
_LISTED_FILES = 20


class TaskRun:
    """One run of a task: its status, its log and its files.

    Every method but `wait` and a followed log returns at once. Once a handle has seen the end of its run, its status, times and outcome can
    also be read after the client was closed. Those that read the store raise `NotFound` if the run was deleted or pruned.

    Raises:
        NotFound: the run was deleted or pruned.
    """

    def __init__(self, engine: Engine, run_id: str, task_id: str) -> None:
        self._engine = engine
        self._run_id = run_id
        self._task_id = task_id
        self._final: RunRow | None = None

    def id(self) -> str:
        """Return the run's id, a UUID."""
        return self._run_id

    def task(self) -> str:
        """Return the id of its task."""
        return self._task_id

    def orchestration(self) -> str:
        """Return the id of the orchestration that it was started with; until then, of the one that its task runs now."""
        return self._task_as_run().orchestration_id

    def input_data(self) -> dict[str, Any]:
        """Return the arguments that it was started with; until then, those that its task has now. A new dictionary at each call."""
        arguments: dict[str, Any] = json.loads(self._task_as_run().arguments)
        return arguments

    def timeout(self) -> float | None:
        """Return the time limit in seconds that it was started with, if any; until then, the one that its task has now."""
        return self._task_as_run().timeout_seconds

    def memory(self) -> int | None:
        """Return the upper bound on the address space of each of its processes, in bytes, as `timeout()` returns its time limit."""
        return self._task_as_run().resources.memory_bytes

    def cpu_seconds(self) -> int | None:
        """Return the upper bound on the processor time of each of its processes, in seconds, as `timeout()` returns its time limit."""
        return self._task_as_run().resources.cpu_seconds

    def nice(self) -> int:
        """Return by how much its processes are nicer than their host; 0 by default."""
        return self._task_as_run().resources.nice

    def status(self) -> RunStatus:
        """Return the status now; it compares equal to its string: `run.status() == "success"`."""
        return self._row().status

    def exit_code(self) -> int | None:
        """Return the program's exit code, or 128 + n if signal n ended it; None while it runs, and if it was not started."""
        return self._row().exit_code

    def duration(self) -> float | None:
        """Return the seconds from start to end; None while it runs, and if it was not started."""
        return self._row().duration_seconds

    def created_at(self) -> datetime:
        """Return when it was submitted: aware, UTC."""
        return self._row().created_at

    def scheduled_at(self) -> datetime | None:
        """Return the slot that it runs for, or that was skipped: aware, UTC; None if it belongs to no schedule."""
        return self._row().slot_at

    def retry_of(self) -> str | None:
        """Return the id of the failed run that this one tries again, if any."""
        return self._row().retry_of

    def try_number(self) -> int:
        """Return 1 for a first try, 2 for the run that tries it again, and so on."""
        return self._row().try_number

    def next_try(self) -> TaskRun | None:
        """Return the run that tries this one again; None if there is none. If there is one, it is there as soon as this one has ended."""
        following = self._engine.store.tries.after(self._run_id)
        return None if following is None else TaskRun(self._engine, following, self._task_id)

    def rerun(self, json_args: Mapping[str, Any] | None = None) -> TaskRun:
        """Run the same orchestration again, with the arguments, limits and variables that this run was started with. Return the new run.

        It is a one-shot task of its own, with the same name: no slot, `concurrency` or pause concerns it. If this run was for a slot, the
        program sees that again, in `ORCHLITE_SCHEDULED_AT`.

        json_args: the new run's arguments, instead of this run's.

        Raises:
            BadArgument: `json_args` is no JSON object, or too large.
            IllegalMove: this is a packaging run.
            PackagingFailed: the orchestration is in `error`.
        """
        limit_bytes = self._engine.context.settings.limits.arguments_bytes
        task = self._engine.rerun(self._run_id, None if json_args is None else encoded_arguments(json_args, limit_bytes))
        run = min(self._engine.store.runs.of_task(task.task_id), key=lambda row: row.try_number)
        return TaskRun(self._engine, run.run_id, task.task_id)

    def rerun_of(self) -> str | None:
        """Return the id of the run that this one repeats on request, if any."""
        return self._row().rerun_of

    def not_before(self) -> datetime | None:
        """Return when it may start, if it is a try that follows a failure: aware, UTC."""
        return self._row().not_before_at

    def started_at(self) -> datetime | None:
        """Return when its program was started or, while it runs, when a host claimed it: aware, UTC; None if neither happened."""
        row = self._row()
        return row.started_at if row.status.is_final else row.claimed_at

    def ended_at(self) -> datetime | None:
        """Return when it ended: aware, UTC; None until then."""
        return self._row().ended_at

    def reason(self) -> str | None:
        """Return why it ended, if not by its program exiting; before that, what is wrong with the cluster that has it or should get it."""
        return self._row().reason

    def placement(self) -> Placement | None:
        """Return where it is or was executed, if on a cluster: `engine`, `job_id` and `session`; None: on the machine of its host."""
        return self._row().placement

    def log_is_complete(self) -> bool:
        """Return False if output was lost because the disk was full."""
        return self._row().log_complete

    @overload
    def logs(self, limit: int | None = None, *, follow: Literal[False] = False) -> Log: ...

    @overload
    def logs(self, limit: int | None = None, *, follow: Literal[True]) -> Iterator[LogLine]: ...

    def logs(self, limit: int | None = None, *, follow: bool = False) -> Log | Iterator[LogLine]:
        """Return the newest `limit` lines that the run has written so far, oldest first; by default all.

        With `follow`, return an iterator over these lines and those that arrive later. It blocks until the run has ended.

        Raises:
            BadArgument: `limit` is not an integer from 0 on.
            DeviceFailed: the log cannot be read.
            Conflict: with `follow`, the run could never start, because only this thread moves the clock.
        """
        if limit is not None:
            checked_count(limit, "limit", 0)
        return self._follow(limit) if follow else self._logs(limit)

    def wait(self, timeout: Duration | None = None) -> TaskRun:
        """Block until the run has ended, and return it, whatever its outcome. A notebook shows its status meanwhile.

        It does not wait for a run that tries it again; `Task.wait()` does.

        timeout: seconds, a `timedelta`, or a text such as `"5m"`; by default there is none.

        Raises:
            WaitTimeout: the run has not ended after `timeout`; nothing was killed.
            Conflict: the wait could never end: the run is this program, or only this thread moves the clock.
            BadArgument: `timeout` is not a duration.
        """
        seconds = None if timeout is None else checked_seconds(timeout, "timeout")
        with live_status(self._description):
            self._final = self._engine.waiting.for_run(self._run_id, seconds)
        return self

    def kill(self) -> RunStatus:
        """Request the end of the run, and return its status after the request.

        A queued run ends at once. A running one gets SIGTERM; after `grace_seconds` all its processes get SIGKILL.

        Raises:
            IllegalMove: the run has ended already.
        """
        self._engine.kill_run(self._run_id)
        return self.status()

    def files(self, *, relative: bool = False) -> list[Path]:
        """Return the files that the program created or changed in its working folder: absolute paths, sorted.

        relative: return paths relative to the working folder.

        Raises:
            BadArgument: `relative` is not a bool.
            BadBundle: the stored bundle, with which the folder is compared, is damaged.
        """
        folder, names = self._changed_files()
        return names if checked_flag(relative, "relative") else [folder / name for name in names]

    def file(self, name: str | os.PathLike[str]) -> Path:
        """Return the absolute path of one of `files()`, for instance `run.file("report.csv").read_text()`.

        name: its path relative to the working folder, or the absolute one.

        Raises:
            BadArgument: `name` is no path.
            BadBundle: the stored bundle, with which the folder is compared, is damaged.
            NotFound: the program neither created nor changed a file of this name, or it was removed since.
        """
        checked_path(name, "name")
        folder, names = self._changed_files()
        found = folder / name
        if found not in {folder / each for each in names}:
            hint = f"It has {listed([*map(str, names)], _LISTED_FILES)}." if names else "It has none."
            raise NotFound(f"Run {self._run_id} has no file {str(name)!r:.80}.", hint=hint, run_id=self._run_id)
        return found

    def metrics(self) -> dict[str, float]:
        """Return the numbers that the program wrote to `metrics.json` in its working folder; empty until it has ended.

        The file has to be an object of finite numbers with names of up to 100 characters, and have 64 KiB at most. One that is something
        else is ignored, with a warning in the log of its host. Metrics are kept as long as the run, even if its files are not.
        """
        self._row()
        return self._engine.store.run_metrics.get(self._run_id)

    def packages(self) -> Packages | None:
        """Return what was installed when its program was started: `python`, `installed` and `host`.

        None: it was not started, it was simulated, or it ran before orchlite kept this.
        """
        return run_packages.of_run(self._engine.context, self._row())

    def compare(self, other: TaskRun) -> Comparison:
        """Return what differs from this run to `other`: how they ended, code, packages, arguments, names of variables, and metrics.

        Values of variables are never part of it. Code is compared by file, and packages if they are known of both runs.

        Raises:
            BadArgument: `other` is no run.
            NotFound: `other` is not in this store, or was deleted or pruned.
            BadBundle: a stored bundle is damaged.
            DeviceFailed: a stored bundle cannot be read.
        """
        if not isinstance(other, TaskRun):
            raise BadArgument(f"other is of type {type(other).__name__}.", hint=PythonOnly("Give a TaskRun."), argument="other")
        from orchlite.operations.comparison import compare

        try:
            return compare(self._engine.context, self._run_id, other._run_id)
        except OSError as error:
            raise device_error(error, f"The code of run {self._run_id} cannot be compared") from error

    def raise_for_failure(self) -> TaskRun:
        """Return the run if it was a success.

        Raises:
            RunFailed: it ended in another way; the message ends with the last 20 lines of its log.
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
        why = f": {row.reason.removesuffix('.')}" if row.reason else ""
        return f"Run {self._run_id} ended as {row.status}{how}{why}.\n{self._last_lines()}"

    def _last_lines(self) -> str:
        return "\n".join(logs.last_state(line.text) for line in self._logs(_SHOWN_LINES)).rstrip("\n")

    def _why(self, row: RunRow) -> str:
        """Return the reason of a failed run, if it has one, and the last lines of its log."""
        reason = [row.reason] if row.reason and row.attempt else []  # of one that was never started, the log is the reason
        return "\n".join([*reason, self._last_lines()]).strip("\n")

    def _description(self) -> str:
        """Return what a notebook shows during a wait and, if the run has failed, after it."""
        row = self._row()
        why = self._why(row).splitlines() if row.status in FAILED else []
        return ", ".join([f"run {self._run_id}: {row.status}", *(why[:1] if row.reason else why[-1:])])

    def _changed_files(self) -> tuple[Path, list[Path]]:
        with shortages(f"The files of run {self._run_id} cannot be listed"):
            return workdirs.changed_files(self._engine.context, self._run_id)

    def _row(self) -> RunRow:
        """Return the row as it is now. A final one never changes, so it is kept, and can be read after the client was closed."""
        if self._final is not None:
            return self._final
        row = self._engine.poll_run(self._run_id)
        self._final = row if row.status.is_final else None
        return row

    def _log_path(self, row: RunRow) -> Path:
        return self._engine.context.folder.run(self._run_id).attempt(row.attempt).log

    def _logs(self, limit: int | None) -> Log:
        row = self._row()
        found = logs.read(self._log_path(row), limit)
        if not found and row.attempt == 0 and row.reason is not None and limit != 0:
            return logs.of_text(row.created_at, row.reason)  # it was never started: the reason is all that there is to read
        return found

    def _follow(self, limit: int | None, *, in_parts: bool = False) -> Iterator[LogLine]:
        row = self._started()
        if row.attempt == 0:
            yield from self._logs(limit)
        followed = 0
        while row.attempt != followed:  # else the run has ended in the attempt that was followed
            followed = row.attempt
            yield from logs.follow(self._log_path(row), partial(self._has_ended, followed), limit, in_parts=in_parts)
            row = self._started()

    def _started(self) -> RunRow:
        row = self._row()
        return self._engine.waiting.for_start(self._run_id) if row.status is RunStatus.QUEUED else row

    def _has_ended(self, attempt: int) -> bool:
        """Return whether this attempt writes no more: the run has ended, was queued again, or has another attempt."""
        row = self._row()
        return row.status is not RunStatus.RUNNING or row.attempt != attempt

    def _task_as_run(self) -> TaskRow:
        return self._engine.store.task_versions.as_run(self._engine.store.tasks.get(self._task_id), self._run_id)

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
        """Return a table of one row and, of a failed run, the reason and the last lines of the log."""
        table, row = table_html(self._columns(), [self._cells()]), self._row()
        with suppress(DeviceFailed):  # the log cannot be read
            return table + preformatted(self._why(row)) if row.status in FAILED else table
        return table


def follow_in_parts(run: TaskRun, limit: int | None = None) -> Iterator[LogLine]:
    """Return what `run.logs(limit, follow=True)` does, but yield what has arrived of a line before it ends, as `logs.follow` does."""
    return run._follow(limit, in_parts=True)


def log_path_of(run: TaskRun) -> Path:
    """Return the first segment of the log of the run's newest attempt. There is none if it was never started."""
    return run._log_path(run._row())
