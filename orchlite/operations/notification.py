"""Sends a notification when a run has failed: runs the `on_failure` command of its task, and records what came of it.

The host that records a failure promises the notification in the same transaction, and starts the command afterwards. What a dead host has
promised is taken over by another one. So a notification is sent twice only if a host dies at the very moment it has started the command.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial

from orchlite.core.errors import OrchliteError, ResourceExhausted
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import FAILED, RunStatus
from orchlite.operations import liveness
from orchlite.operations.context import Context
from orchlite.store import events

LIMIT_SECONDS = 60.0
"""Time limit of a command."""

_SHOWN_BYTES = 500
_VARIABLE_CHARACTERS = 8000  # Linux refuses a variable of more than 128 KiB; an installer's last lines may be longer
_log = logging.getLogger(__name__)


def notify(context: Context, run_id: str, status: RunStatus) -> None:
    """Send the notification that is due for this outcome, if any, on a thread of its own; on a clock moved by hand, before returning.

    Call it once for each run, after its outcome was recorded.
    """
    if status not in FAILED:
        return
    try:
        run = context.store.runs.get(run_id)
        task = context.store.task_versions.as_run(context.store.tasks.get(run.task_id), run_id)
    except OrchliteError:  # the outcome is recorded, and the caller has more to do
        _log.warning("no notification was sent for run %s, which ended as %s", run_id, status, exc_info=True)
        return
    if not task.on_failure or not context.store.runs.has_promised(run_id, context.host_id):  # or the run is tried again
        return
    if context.clock_is_manual:
        _send(context, task, run, threading.Event())
    else:
        try:
            context.notifier.start(partial(_send, context, task, run), f"orchlite-notification-{run_id}")
        except ResourceExhausted:  # the promise stays, for the next host
            _log.warning("the notification for run %s was not sent", run_id, exc_info=True)


def send_overdue(context: Context) -> None:
    """Send the notifications that dead hosts have promised and not sent."""
    for pending in context.store.runs.pending_notifications():
        if pending.host_id == context.host_id or liveness.is_alive(context.folder.hosts, pending.host_id):
            continue
        with context.store.transaction() as transaction:
            is_ours = context.store.runs.take_over_notification(transaction, pending, context.host_id)
        if is_ours:
            notify(context, pending.run_id, pending.status)


def run_command(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    limit_seconds: float = LIMIT_SECONDS,
    on_start: Callable[[], None] = lambda: None,
) -> str | None:
    """Run the command to its end, or to its time limit. Return None if it succeeded, else what went wrong.

    on_start: called once the command has been started and will run on, whatever happens here.
    """
    from subprocess import DEVNULL, Popen, TimeoutExpired
    from tempfile import TemporaryFile

    with ExitStack() as stack:
        try:
            output = stack.enter_context(TemporaryFile())  # an OSError if the disk is full, which may be what failed the run
            process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=output, env=environment, start_new_session=True)
        except (OSError, ValueError) as error:
            return f"{command[0]} could not be started: {getattr(error, 'strerror', None) or error}"
        try:
            on_start()
            code = process.wait(limit_seconds)
        except TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children, too
            process.wait()
            return f"{command[0]} took longer than {limit_seconds:g} s and was killed"
        return None if code == 0 else f"{command[0]} ended with exit code {code}: {_end_of(output.fileno())}".rstrip(": ")


def _send(context: Context, task: TaskRow, run: RunRow, started: threading.Event) -> None:
    def keep_promise() -> None:
        with suppress(OrchliteError), context.store.transaction() as transaction:
            context.store.runs.notification_sent(transaction, run.run_id)
        started.set()

    assert task.on_failure, "the task has no command to run"
    problem = run_command(task.on_failure, {**os.environ, **_variables(context, task, run)}, on_start=keep_promise)
    _log.info("run %s: on_failure %s", run.run_id, problem or "has been run")
    with suppress(OrchliteError), context.store.transaction() as transaction:
        context.store.runs.notification_sent(transaction, run.run_id)  # if it could not be started, no other host could either
        became = "on_failure_failed" if problem else "on_failure_told"
        events.record(transaction, "run", run.run_id, run.status, became, context.clock.now(), problem)


def _variables(context: Context, task: TaskRow, run: RunRow) -> Mapping[str, str]:
    values = {
        "ORCHLITE_STORE": context.folder.path,
        "ORCHLITE_ORCHESTRATION_ID": task.orchestration_id,
        "ORCHLITE_TASK_ID": task.task_id,
        "ORCHLITE_TASK_NAME": task.name,
        "ORCHLITE_TASK_KIND": task.kind,
        "ORCHLITE_RUN_ID": run.run_id,
        "ORCHLITE_RUN_STATUS": run.status,
        "ORCHLITE_RUN_EXIT_CODE": run.exit_code,
        "ORCHLITE_RUN_REASON": run.reason,
        "ORCHLITE_RUN_SLOT": run.slot_at and run.slot_at.isoformat(),
        "ORCHLITE_RUN_LOG": context.folder.run(run.run_id).attempt(run.attempt).log,
    }
    return {name: "" if value is None else str(value).replace("\0", " ")[:_VARIABLE_CHARACTERS] for name, value in values.items()}


def _end_of(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - _SHOWN_BYTES), os.SEEK_SET)
    return os.read(descriptor, _SHOWN_BYTES).decode(errors="replace").strip()
