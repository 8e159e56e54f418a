"""Sends notifications: runs a command after a run has failed or succeeded, or when slots are late, and records what came of it.

The command is that of the task, or of a host that serves the whole store. The host that records an outcome promises the notification in the
same transaction, and starts the command afterwards. What a dead host has promised is taken over by another one. So a notification is sent
twice only if a host dies at the very moment it has started the command.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from orchlite.core.errors import Closed, OrchliteError, ResourceExhausted
from orchlite.core.records import NotificationEvent, RunRow, TaskRow
from orchlite.core.status import RunStatus
from orchlite.operations import liveness
from orchlite.operations.context import Context
from orchlite.operations.outcome import event_of
from orchlite.schedules.misfires import MISFIRE_GRACE
from orchlite.store import events

LIMIT_SECONDS = 60.0
"""Time limit of a command."""

_LATE_SINCE = timedelta(hours=1)  # what was late before is no news
_SHOWN_BYTES = 500
_VARIABLE_CHARACTERS = 8000  # Linux refuses a variable of more than 128 KiB; an installer's last lines may be longer
_log = logging.getLogger(__name__)


class Notification(NamedTuple):
    """A notification to be sent: the event, the command, and the run that it is about."""

    event: NotificationEvent
    command: tuple[str, ...]
    task: TaskRow
    run: RunRow


def notify(context: Context, run_id: str, status: RunStatus) -> None:
    """Send the notification that is due for this outcome, if any, on a thread of its own; on a clock moved by hand, before returning.

    Call it once for each run, after its outcome was recorded.
    """
    if (event := event_of(status)) is not None:
        _notify(context, run_id, event)


def notify_recorded(context: Context, run_id: str) -> None:
    """Notify, by this host's command, of an outcome that it recorded before it served the whole store; not if the task has its own."""
    store = context.store
    run = store.runs.find(run_id)
    event = None if run is None else event_of(run.status)
    if run is None or event is None or store.tries.after(run_id) is not None:
        return
    with store.transaction() as transaction:
        task = store.tasks.find(transaction, run.task_id)
        if task is None or _own_command(task, event) is not None:
            return
        context.promise_notification(transaction, run_id, event)
    _notify(context, run_id, event)


def notify_late(context: Context) -> None:
    """Notify of slots that are late or were missed, once for each task: of the newest. Send it as `notify` does."""
    now, store = context.clock.now(), context.store
    late = store.notifications.late(now - MISFIRE_GRACE, now - _LATE_SINCE, has_default="late" in context.host_commands())
    if not late:
        return
    newest = set({run.task_id: run.run_id for run in reversed(late)}.values())
    with store.transaction() as transaction:
        for run in late:
            is_ours = store.notifications.promise_late(transaction, run.run_id, context.host_id if run.run_id in newest else None)
            if not is_ours:  # another host was first
                newest.discard(run.run_id)
    for run_id in newest:
        _notify(context, run_id, "late")


def send_overdue(context: Context) -> None:
    """Send the notifications that dead hosts have promised and not sent. One without a command here waits for a host that has one."""
    for pending in context.store.notifications.pending():
        if pending.host_id == context.host_id or liveness.is_alive(context.folder.hosts, pending.host_id):
            continue
        task = context.store.tasks.get(context.store.runs.get(pending.run_id).task_id)
        if _command(context, task, pending.event) is None:
            continue
        with context.store.transaction() as transaction:
            is_ours = context.store.notifications.take_over(transaction, pending, context.host_id)
        if is_ours:
            _notify(context, pending.run_id, pending.event)


def _notify(context: Context, run_id: str, event: NotificationEvent) -> None:
    try:
        if event != "late" and not context.store.notifications.is_promised(run_id, context.host_id):
            return  # first: this is so for nearly every run that succeeds
        run = context.store.runs.get(run_id)
        task = context.store.task_versions.as_run(context.store.tasks.get(run.task_id), run_id)
        command = _command(context, task, event)
        if command is None:
            return
    except Closed:
        return  # the next host sends what was promised
    except OrchliteError:  # the outcome is recorded, and the caller has more to do
        _log.warning("no notification of the %s of run %s was sent", event, run_id, exc_info=True)
        return
    send = partial(_send, context, Notification(event, command, task, run))
    if context.controlled_clock is not None:
        send(threading.Event())
    else:
        try:
            context.notifier.start(send, f"orchlite-notification-{run_id}")
        except ResourceExhausted:  # the promise stays, for the next host
            _log.warning("the notification of the %s of run %s was not sent", event, run_id, exc_info=True)


def _command(context: Context, task: TaskRow, event: NotificationEvent) -> tuple[str, ...] | None:
    own = _own_command(task, event)
    return (own or None) if own is not None else context.host_commands().get(event)


def _own_command(task: TaskRow, event: NotificationEvent) -> tuple[str, ...] | None:
    """Return the task's command, empty if nobody is notified; None if that is up to the host."""
    return {"failure": task.on_failure, "success": task.on_success, "late": task.on_late}[event]


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


def _send(context: Context, notification: Notification, started: threading.Event) -> None:
    event, command, _, run = notification
    store = context.store

    def keep_promise() -> None:
        with suppress(OrchliteError), store.transaction() as transaction:
            store.notifications.sent(transaction, run.run_id, event)
        started.set()

    problem = run_command(command, {**os.environ, **_variables(context, notification)}, on_start=keep_promise)
    _log.info("run %s: on_%s %s", run.run_id, event, problem or "has been run")
    with suppress(OrchliteError), store.transaction() as transaction:
        store.notifications.sent(transaction, run.run_id, event)  # if it could not be started, no other host could either
        became = f"on_{event}_failed" if problem else f"on_{event}_told"
        events.record(transaction, "run", run.run_id, run.status, became, context.clock.now(), problem)


def _variables(context: Context, notification: Notification) -> Mapping[str, str]:
    event, _, task, run = notification
    values = {
        "ORCHLITE_STORE": context.folder.path,
        "ORCHLITE_EVENT": event,
        "ORCHLITE_ORCHESTRATION_ID": task.orchestration_id,
        "ORCHLITE_TASK_ID": task.task_id,
        "ORCHLITE_TASK_NAME": task.name,
        "ORCHLITE_TASK_KIND": task.kind,
        "ORCHLITE_RUN_ID": run.run_id,
        "ORCHLITE_RUN_STATUS": run.status,
        "ORCHLITE_RUN_EXIT_CODE": run.exit_code,
        "ORCHLITE_RUN_REASON": run.reason or (_lateness(run, context.clock.now()) if event == "late" else None),
        "ORCHLITE_RUN_SLOT": (slot_at := run.slot_at or run.repeated_slot_at) and slot_at.isoformat(),
        "ORCHLITE_RUN_LOG": context.folder.run(run.run_id).attempt(run.attempt).log,
    }
    return {name: "" if value is None else str(value).replace("\0", " ")[:_VARIABLE_CHARACTERS] for name, value in values.items()}


def _lateness(run: RunRow, now: datetime) -> str:
    assert run.slot_at is not None, "only slots are late"
    seconds = ((run.claimed_at or now) - run.slot_at).total_seconds()
    return f"late: {seconds:.0f} s after its slot it {'is queued' if run.claimed_at is None else 'was started'}"


def _end_of(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - _SHOWN_BYTES), os.SEEK_SET)
    return os.read(descriptor, _SHOWN_BYTES).decode(errors="replace").strip()
