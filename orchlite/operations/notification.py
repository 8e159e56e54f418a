"""Tells somebody that a run has ended badly: runs the command that its task has for that, and notes what became of it.

Whoever records such an end promises, in the same step, to tell of it, and keeps that by starting the command. What a host that is gone has
promised another one does: so nobody is told of an end twice, unless a host dies at the very moment at which it has started the command.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from orchlite.core.errors import OrchliteError
from orchlite.core.records import RunRow, TaskRow
from orchlite.core.status import RunStatus
from orchlite.operations import liveness
from orchlite.operations.context import Context
from orchlite.operations.outcome import BAD_ENDS
from orchlite.store import events

LIMIT_SECONDS = 60.0
"""How long a command may take."""

_BEGIN_SECONDS = 5.0
_SHOWN_BYTES = 500
_FACT_CHARACTERS = 8000  # Linux takes no variable of more than 128 KiB; an installer's last lines may be longer
_log = logging.getLogger(__name__)


def notify(context: Context, run_id: str, status: RunStatus) -> None:
    """Where a run with this end is to be told about, have it told, on a thread of its own; on a clock moved by hand, at once.

    Call it once for each run, after its end was recorded.
    """
    if status not in BAD_ENDS:
        return
    try:
        run = context.store.runs.get(run_id)
        task = context.store.tasks.get(run.task_id)
    except OrchliteError:  # the end stands, and whoever recorded it has more to do
        _log.warning("nobody could be told that run %s has ended as %s", run_id, status, exc_info=True)
        return
    if not task.on_failure:
        return
    if context.clock_is_manual:
        _tell(context, task, run, threading.Event())
    else:
        begun = threading.Event()
        thread = threading.Thread(target=_tell_aside, args=(context, task, run, begun), name=f"orchlite-telling-{run_id}", daemon=True)
        context.tellings[thread] = begun
        if context.is_silent:  # after the line above: `fall_silent` looks there when it has said so here
            del context.tellings[thread]
        else:
            thread.start()


def send_overdue(context: Context) -> None:
    """Tell of the ends that hosts which are gone have recorded, and have told nobody of."""
    for untold in context.store.runs.pending_notifications():
        if untold.host_id == context.host_id or liveness.is_alive(context.folder.hosts, untold.host_id):
            continue
        with context.store.transaction() as transaction:
            is_mine = context.store.runs.take_over_notification(transaction, untold, context.host_id)
        if is_mine:
            notify(context, untold.run_id, untold.status)


def drain(context: Context, patience_seconds: float = LIMIT_SECONDS) -> None:
    """Wait until whoever is being told has been told, for so long at most."""
    give_up_at = context.clock.monotonic() + patience_seconds
    for thread in filter(threading.Thread.is_alive, list(context.tellings)):
        thread.join(max(0.0, give_up_at - context.clock.monotonic()))


def stop(context: Context) -> None:
    """Leave it to the next host to tell of further ends. Blocks until every command that is to be started here has been: for a moment.

    Else it could not be noted that it was, and the next host would start it again.
    """
    context.is_silent = True
    give_up_at = context.clock.monotonic() + _BEGIN_SECONDS
    for begun in list(context.tellings.values()):
        begun.wait(max(0.0, give_up_at - context.clock.monotonic()))


def run_command(
    command: tuple[str, ...],
    environment: Mapping[str, str],
    limit_seconds: float = LIMIT_SECONDS,
    has_begun: Callable[[], None] = lambda: None,
) -> str | None:
    """Run the command to its end, or to the end of its time; None where it was a success, else what was wrong.

    has_begun: called when the command has been started, and goes on whatever happens here.
    """
    from subprocess import DEVNULL, Popen, TimeoutExpired
    from tempfile import TemporaryFile

    with ExitStack() as held:
        try:
            said = held.enter_context(TemporaryFile())  # an OSError where the disk is full, which may be what is to be told
            process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=said, env=environment, start_new_session=True)
        except (OSError, ValueError) as error:
            return f"{command[0]} could not be started: {getattr(error, 'strerror', None) or error}"
        try:
            has_begun()
            code = process.wait(limit_seconds)
        except TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children, too
            process.wait()
            return f"{command[0]} took longer than {limit_seconds:g} s and was killed"
        return None if code == 0 else f"{command[0]} ended with exit code {code}: {_end_of(said.fileno())}".rstrip(": ")


def _tell_aside(context: Context, task: TaskRow, run: RunRow, begun: threading.Event) -> None:
    try:
        _tell(context, task, run, begun)
    finally:
        begun.set()
        del context.tellings[threading.current_thread()]


def _tell(context: Context, task: TaskRow, run: RunRow, begun: threading.Event) -> None:
    def keep_promise() -> None:
        with suppress(OrchliteError), context.store.transaction() as transaction:
            context.store.runs.notification_sent(transaction, run.run_id)
        begun.set()

    assert task.on_failure, "there is nobody to be told"
    outcome = run_command(task.on_failure, {**os.environ, **_facts(context, task, run)}, has_begun=keep_promise)
    _log.info("run %s: on_failure %s", run.run_id, outcome or "was told")
    with suppress(OrchliteError), context.store.transaction() as transaction:
        context.store.runs.notification_sent(transaction, run.run_id)  # where it could not be started: nobody else could, either
        became = "on_failure_failed" if outcome else "on_failure_told"
        events.record(transaction, "run", run.run_id, run.status, became, context.clock.now(), outcome)


def _facts(context: Context, task: TaskRow, run: RunRow) -> Mapping[str, str]:
    facts = {
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
    return {name: "" if fact is None else str(fact).replace("\0", " ")[:_FACT_CHARACTERS] for name, fact in facts.items()}


def _end_of(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - _SHOWN_BYTES), os.SEEK_SET)
    return os.read(descriptor, _SHOWN_BYTES).decode(errors="replace").strip()
