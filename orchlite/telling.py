"""Tells somebody that a run has ended badly: runs the command that its task has for that, and notes what became of it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from orchlite.errors import OrchliteError
from orchlite.open_store import OpenStore
from orchlite.records import RunRow, TaskRow
from orchlite.status import RunStatus
from orchlite.store import events

LIMIT_SECONDS = 60.0
"""How long a command may take."""

_BAD_ENDS = frozenset({RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.UNKNOWN})
_SHOWN_BYTES = 500
_FACT_CHARACTERS = 8000  # Linux takes no variable of more than 128 KiB; an installer's last lines may be longer
_log = logging.getLogger(__name__)


def tell(store: OpenStore, run_id: str, status: RunStatus) -> None:
    """Where a run with this end is to be told about, have it told, on a thread of its own; on a clock moved by hand, at once.

    Call it once for each run, after its end was recorded.
    """
    if status not in _BAD_ENDS:
        return
    try:
        run = store.memory.runs.get(run_id)
        task = store.memory.tasks.get(run.task_id)
    except OrchliteError:  # the end stands, and whoever recorded it has more to do
        _log.warning("nobody could be told that run %s has ended as %s", run_id, status, exc_info=True)
        return
    if not task.on_failure:
        return
    if store.clock_is_manual:
        _tell(store, task, run, task.on_failure)
    else:
        arguments = (store, task, run, task.on_failure)
        thread = threading.Thread(target=_tell, args=arguments, name=f"orchlite-telling-{run_id}", daemon=True)
        thread.start()
        store.tellings.add(thread)


def finish(store: OpenStore, patience_seconds: float = LIMIT_SECONDS) -> None:
    """Wait until whoever is being told has been told, for so long at most."""
    give_up_at = store.clock.monotonic() + patience_seconds
    for thread in list(store.tellings):
        thread.join(max(0.0, give_up_at - store.clock.monotonic()))


def outcome_of(command: tuple[str, ...], environment: Mapping[str, str], limit_seconds: float = LIMIT_SECONDS) -> str | None:
    """Run the command to its end, or to the end of its time; None where it was a success, else what was wrong."""
    from subprocess import DEVNULL, Popen, TimeoutExpired
    from tempfile import TemporaryFile

    with ExitStack() as held:
        try:
            said = held.enter_context(TemporaryFile())  # an OSError where the disk is full, which may be what is to be told
            process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=said, env=environment, start_new_session=True)
        except (OSError, ValueError) as error:
            return f"{command[0]} could not be started: {getattr(error, 'strerror', None) or error}"
        try:
            code = process.wait(limit_seconds)
        except TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children, too
            process.wait()
            return f"{command[0]} took longer than {limit_seconds:g} s and was killed"
        return None if code == 0 else f"{command[0]} ended with exit code {code}: {_end_of(said.fileno())}".rstrip(": ")


def _tell(store: OpenStore, task: TaskRow, run: RunRow, command: tuple[str, ...]) -> None:
    outcome = outcome_of(command, {**os.environ, **_facts(store, task, run)})
    _log.info("run %s: on_failure %s", run.run_id, outcome or "was told")
    with suppress(OrchliteError), store.memory.transaction() as transaction:
        became = "on_failure_failed" if outcome else "on_failure_told"
        events.record(transaction, "run", run.run_id, run.status, became, store.clock.now(), outcome)


def _facts(store: OpenStore, task: TaskRow, run: RunRow) -> Mapping[str, str]:
    facts = {
        "ORCHLITE_STORE": store.folder.path,
        "ORCHLITE_ORCHESTRATION_ID": task.orchestration_id,
        "ORCHLITE_TASK_ID": task.task_id,
        "ORCHLITE_TASK_NAME": task.name,
        "ORCHLITE_TASK_KIND": task.kind,
        "ORCHLITE_RUN_ID": run.run_id,
        "ORCHLITE_RUN_STATUS": run.status,
        "ORCHLITE_RUN_EXIT_CODE": run.exit_code,
        "ORCHLITE_RUN_REASON": run.reason,
        "ORCHLITE_RUN_SLOT": run.slot_at and run.slot_at.isoformat(),
        "ORCHLITE_RUN_LOG": store.folder.run(run.run_id).attempt(run.attempt).log,
    }
    return {name: "" if fact is None else str(fact).replace("\0", " ")[:_FACT_CHARACTERS] for name, fact in facts.items()}


def _end_of(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - _SHOWN_BYTES), os.SEEK_SET)
    return os.read(descriptor, _SHOWN_BYTES).decode(errors="replace").strip()
