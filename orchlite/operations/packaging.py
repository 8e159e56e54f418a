"""Executes packaging runs: has the environment of an orchestration found or built (`installation`), and writes a log of it.

Where the environment exists already, the thread that uploads the bundle does so itself, in the transaction of the upload.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import Closed, PackagingFailed
from orchlite.core.files import make_private_folders, remove_tree
from orchlite.core.hints import PythonOnly
from orchlite.core.records import OrchestrationRow, RunResult, RunRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.core.text import mask_credentials
from orchlite.environments import base_image
from orchlite.environments.builds import Installation
from orchlite.operations import notification, outcome
from orchlite.operations.context import Assignment, Context
from orchlite.operations.installation import ensure_environment, find_environment, install_files
from orchlite.operations.outcome import Outcome
from orchlite.operations.postponement import try_postpone
from orchlite.runs import logs
from orchlite.store.database import Transaction

SMALL_BYTES = 32 * 1024
"""Up to which size a bundle is unpacked and searched for imports in no time."""
_log = logging.getLogger(__name__)


class Packaged(NamedTuple):
    """What packaging has found."""

    installation: Installation
    warnings: tuple[str, ...]


def package(context: Context, assignment: Assignment) -> None:
    """Execute a claimed packaging run: make its orchestration `ready`, or `error`. Block until the outcome is recorded.

    Whatever goes wrong with packaging becomes its outcome, not an exception. If a resource is lacking for the moment, the run goes back
    into the queue instead.

    Raises:
        Closed: the store was closed meanwhile; the next host packages again.
        StoreDamaged: the outcome cannot be recorded any more.
        IllegalMove: another host has recorded the outcome first.
    """
    run, orchestration = assignment.run, assignment.orchestration
    files = install_files(context.folder.run(run.run_id), run.attempt)
    arguments = json.loads(assignment.task.arguments)
    _log.info("packaging orchestration %s", orchestration.orchestration_id)
    try:
        _start(context, run, orchestration, files.log)
        if replaced := arguments.get("replaced_pins"):
            logs.append(files.log, context.clock.now(), "\n".join(replaced))
        installation, _ = ensure_environment(context, orchestration, files, refresh=bool(arguments.get("refresh")))
        found = _finished(context, installation, _warnings(context, orchestration, installation), files.log)
    except Closed:
        raise
    except Exception as error:  # whatever it is, the tasks that wait for this packaging must fail
        is_cancelled = files.folder.cancel.exists()
        if not is_cancelled and try_postpone(context, assignment, error):
            return
        _log_error(context, files.log, error)
        _fail(context, run, orchestration, error, RunStatus.KILLED if is_cancelled else RunStatus.FAILURE)
    else:
        _succeed(context, run, orchestration.orchestration_id, found)
    context.postponed.forget(run.run_id)


def package_at_once(context: Context, orchestration: OrchestrationRow, run: RunRow) -> Packaged | None:
    """Package an orchestration that is not stored yet; `record_success` stores that. Return None if that takes more than milliseconds.

    It does if something must be installed, or if imports must be looked for among the host's packages. Whatever goes wrong leaves it to a
    worker, which meets it again and records it. If the run is not stored, the caller removes its folder.
    """
    from orchlite.operations.import_warnings import has_no_import_warnings  # not needed to open a store

    if context.own_run_id is not None or orchestration.size_bytes > SMALL_BYTES:
        return None
    folder = context.folder.run(run.run_id)
    try:
        installation = find_environment(context, orchestration)
        if installation is None or installation.installed or not has_no_import_warnings(context, orchestration):
            return None
        log = install_files(folder, run.attempt).log
        make_private_folders(folder.path, log.parent)
        return _finished(context, installation, _host_warnings(context, orchestration, installation), log)
    except Exception:
        _log.info("orchestration %s is not packaged at once", orchestration.orchestration_id, exc_info=True)
        remove_tree(folder.path)
        return None


def _finished(context: Context, installation: Installation, warnings: tuple[str, ...], log: Path) -> Packaged:
    """Write the log, and make what the first run would have to wait for."""
    _log_installed(context, log, installation, warnings)
    context.environments.sdk()
    context.process.warm()
    return Packaged(installation, warnings)


def mark_ready(context: Context, assignment: Assignment) -> None:
    """Make the orchestration `ready` without an environment: its runs are simulated, so nothing needs to be installed.

    Raises:
        Closed, StoreDamaged, IllegalMove: as `package`.
    """
    run, orchestration = assignment.run, assignment.orchestration
    _start(context, run, orchestration, install_files(context.folder.run(run.run_id), run.attempt).log)
    _succeed(context, run, orchestration.orchestration_id, Packaged(Installation("", Path(), Path(), ()), ()))


def _warnings(context: Context, orchestration: OrchestrationRow, installation: Installation) -> tuple[str, ...]:
    from orchlite.operations.import_warnings import import_warnings  # not needed to open a store

    return (*_host_warnings(context, orchestration, installation), *import_warnings(context, orchestration, installation))


def _host_warnings(context: Context, orchestration: OrchestrationRow, installation: Installation) -> tuple[str, ...]:
    if orchestration.base_image != base_image.HOST:
        return ()
    host = context.environments.host_packages()
    return (*host.warnings, *context.environments.conflicts(installation.installed, host.directories))


def _log_installed(context: Context, log: Path, installation: Installation, warnings: tuple[str, ...]) -> None:
    listed = [f"  {name}" for name in installation.installed] or ["  nothing"]
    lines = [*(f"warning: {warning}" for warning in warnings), "Installed in the environment:", *listed]
    logs.append(log, context.clock.now(), "\n".join(lines))


def _start(context: Context, run: RunRow, orchestration: OrchestrationRow, log: Path) -> None:
    orchestration_id, now = orchestration.orchestration_id, context.clock.now()
    context.commit_eventually(
        lambda transaction: context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PACKAGING, now)
    )
    make_private_folders(log.parent.parent, log.parent)
    if run.attempt > 1:
        logs.append(log, now, f"attempt {run.attempt}: packaging was interrupted, and begins again")


def _log_error(context: Context, log: Path, error: Exception) -> None:
    """Write to the log why packaging failed, unless the installer has done so itself."""
    if isinstance(error, PackagingFailed) and "exit_code" in error.details:
        return
    with suppress(OSError):
        make_private_folders(log.parent.parent, log.parent)
        logs.append(log, context.clock.now(), mask_credentials(str(error)))


def _succeed(context: Context, run: RunRow, orchestration_id: str, found: Packaged) -> None:
    def succeed(transaction: Transaction) -> None:
        _become_ready(context, transaction, run, orchestration_id, found)
        for waiting in context.store.tasks.waiting_for(transaction, orchestration_id):
            if waiting.kind is not TaskKind.ONCE:  # a one-shot task starts with its run; the others may be due from now on
                context.store.tasks.move(transaction, waiting.task_id, TaskStatus.STARTED, context.clock.now())

    context.commit_eventually(succeed)


def record_success(context: Context, transaction: Transaction, run: RunRow, orchestration_id: str, found: Packaged) -> None:
    """Record what `package_at_once` has found for an orchestration, and its run, that were inserted in this transaction."""
    context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PACKAGING, run.created_at)
    _become_ready(context, transaction, run, orchestration_id, found)


def _become_ready(context: Context, transaction: Transaction, run: RunRow, orchestration_id: str, found: Packaged) -> None:
    context.store.orchestrations.set_environment(transaction, orchestration_id, found.installation.key, found.installation.installed)
    context.store.orchestrations.add_warnings(transaction, orchestration_id, found.warnings)
    context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.READY, context.clock.now())
    _record(context, transaction, run, RunStatus.SUCCESS)


def _fail(context: Context, run: RunRow, orchestration: OrchestrationRow, error: Exception, status: RunStatus) -> None:
    reason = mask_credentials(str(error))
    _log.warning("packaging orchestration %s failed: %s", orchestration.orchestration_id, reason)
    failed: list[str] = []

    def fail(transaction: Transaction) -> None:
        _record(context, transaction, run, status, reason)
        failed[:] = fail_dependents(context, transaction, orchestration.orchestration_id, reason)

    context.commit_eventually(fail)
    notification.notify(context, run.run_id, status)
    for run_id in failed:
        notification.notify(context, run_id, RunStatus.FAILURE)


def fail_dependents(context: Context, transaction: Transaction, orchestration_id: str, reason: str) -> list[str]:
    """Make the orchestration `error`, and end the tasks and queued runs that waited for it as failed.

    Return the ids of these runs; their notifications are promised by this host, and the caller sends them after the commit.

    Raises:
        IllegalMove: the orchestration is `ready` or in `error` already.
    """
    now, store = context.clock.now(), context.store
    store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.ERROR, now, reason)
    reason = f"its orchestration could not be packaged: {reason}"
    run_ids: list[str] = []
    for waiting in store.tasks.waiting_for(transaction, orchestration_id):
        for queued in store.runs.unfinished_of_task(transaction, waiting.task_id):
            store.runs.end(transaction, queued.run_id, RunResult(RunStatus.FAILURE, None, None, now, None, reason))
            context.promise_notification(transaction, queued.run_id, "failure")
            run_ids.append(queued.run_id)
        store.tasks.move(transaction, waiting.task_id, TaskStatus.FAILED, now, reason)
    return run_ids


def _record(context: Context, transaction: Transaction, run: RunRow, status: RunStatus, reason: str | None = None) -> None:
    now = context.clock.now()
    duration_seconds = None if run.claimed_at is None else (now - run.claimed_at).total_seconds()
    result = RunResult(status, 0 if status is RunStatus.SUCCESS else 1, run.claimed_at, now, duration_seconds, reason)
    ended = Outcome(run.run_id, run.task_id, result, host_id=context.host_id, host_commands=context.host_commands())
    outcome.record_end(context.store, transaction, ended, now)


def packaging_failed(orchestration: OrchestrationRow) -> PackagingFailed:
    """Return the error that says why the orchestration is in `error`."""
    return PackagingFailed(
        f"Orchestration {orchestration.orchestration_id} could not be packaged: {orchestration.reason}",
        hint=PythonOnly("\nThe whole log: orchestration.task().wait().logs()."),
        orchestration_id=orchestration.orchestration_id,
    )
