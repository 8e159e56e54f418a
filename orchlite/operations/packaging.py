"""One packaging run: make or find the environment that an orchestration needs, and say so in a log.

The installer is run by a runner, as a run of its own inside the packaging run's folder and on a leash: its output is logged, its
time bounded and its processes ended by the same means as a user's program.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import Closed, PackagingFailed
from orchlite.core.folders import RunFolder
from orchlite.core.hints import PythonOnly
from orchlite.core.records import OrchestrationRow, RunResult, RunRow
from orchlite.core.settings import Settings
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.environments import base_image
from orchlite.environments.builds import Build, Installation
from orchlite.operations import notification, outcome
from orchlite.operations.context import Assignment, Context
from orchlite.operations.outcome import Ending
from orchlite.runs import logs
from orchlite.runs.spec import Ended, RunSpec
from orchlite.store.database import Transaction

_LAST_LINES = 12
_EXPLAINING_LINES = 400
_EXPLAINING_CHARACTERS = 65_536  # pip names every version that there is in one line
_log = logging.getLogger(__name__)


class InstallFiles(NamedTuple):
    """Where one installation leaves its files."""

    folder: RunFolder
    log: Path


def install_files(folder: RunFolder, attempt: int, log: str = "log") -> InstallFiles:
    """The place of the installation that a run makes: a packaging run, or one whose environment is gone. Its name is unique."""
    inside = folder.attempt(attempt).path
    return InstallFiles(RunFolder(inside / f"install-{folder.run_id}"), inside / log)


def package(context: Context, assignment: Assignment) -> None:
    """Bring a claimed packaging run, and with it its orchestration, to the end."""
    run, orchestration = assignment.run, assignment.orchestration
    place = install_files(context.folder.run(run.run_id), run.attempt)
    _log.info("packaging orchestration %s", orchestration.orchestration_id)
    try:
        _begin(context, run, orchestration, place.log)
        installation = ensure_environment(context, orchestration, place, refresh=bool(json.loads(assignment.task.arguments).get("refresh")))
        warnings = _host_warnings(context, orchestration, installation)
        _report(context, place.log, installation, warnings)
        context.environments.sdk()  # so that no run has to wait for it
        context.process.warm()
    except Closed:
        raise
    except Exception as error:  # whatever it is, what waits for this packaging must hear of it
        _note(context, place.log, error)
        _fail(context, run, orchestration, error, RunStatus.KILLED if place.folder.cancel.exists() else RunStatus.FAILURE)
    else:
        _succeed(context, run, orchestration, installation, warnings)


def mark_ready(context: Context, assignment: Assignment) -> None:
    """Declare the orchestration ready without an environment: where nothing will be executed, nothing is to be installed."""
    run, orchestration = assignment.run, assignment.orchestration
    _begin(context, run, orchestration, install_files(context.folder.run(run.run_id), run.attempt).log)
    _succeed(context, run, orchestration, Installation("", Path(), Path(), ()), ())


def ensure_environment(context: Context, orchestration: OrchestrationRow, place: InstallFiles, *, refresh: bool = False) -> Installation:
    """The environment that the orchestration needs, built where it is missing; blocks while somebody else builds it.

    With `refresh` it is built in any case.

    Raises:
        PackagingFailed: the installer failed, took too long or was cancelled; the message ends with its last lines.
    """
    requirements = base_image.effective_requirements(orchestration.base_image, orchestration.requirements)
    key = context.environments.key(requirements)
    found = None if refresh else context.environments.find(key)
    if found is not None:
        return found
    with context.environments.building(key, place.folder.cancel.exists, refresh=refresh) as build:
        if build.found is not None:
            return build.found
        build.create()
        if requirements:
            _install(context, build, requirements, place)
        return build.finish()


def _install(context: Context, build: Build, requirements: tuple[str, ...], place: InstallFiles) -> None:
    place.folder.attempt(1).path.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = context.environments.install_command(build, requirements)
    spec = RunSpec(
        run_id=place.folder.run_id,
        attempt=1,
        folder=str(place.folder.path),
        command=command.args,
        working_folder=str(command.working_folder),
        env={**command.env, "ORCHLITE_RUN_TOKEN": place.folder.run_id},
        log=str(place.log),
        timeout_seconds=context.settings.install_timeout_seconds,
        grace_seconds=0,
        log_bytes=context.settings.limits.log_bytes,
        leash=True,
        environment_lock=str(command.lock),
        masked=True,
    )
    context.process.place(spec)
    observed = context.process.wait(place.folder)
    place.folder.attempt(1).spec.unlink(missing_ok=True)  # a proxy's address in it may hold a password
    if not isinstance(observed, Ended):
        context.process.discard(place.folder)
        raise PackagingFailed("The installer's runner was killed.", hint="Upload the orchestration again.")
    if observed.result.status is not RunStatus.SUCCESS:
        raise _failure(observed.result, place.log, context.settings)


def _failure(result: RunResult, log: Path, settings: Settings) -> PackagingFailed:
    lines = [line.text for line in logs.read(log, _EXPLAINING_LINES)]
    how = f"ended with exit code {result.exit_code}" if result.reason is None else f"was stopped: {result.reason}"
    message = "\n".join([f"{_in_words(result, lines, settings)} (The installer {how}.)", "Its last lines:", *lines[-_LAST_LINES:]])
    return PackagingFailed(_masked(message), exit_code=result.exit_code)


def _in_words(result: RunResult, lines: list[str], settings: Settings) -> str:
    from orchlite.environments.diagnosis import explain

    if result.status is RunStatus.TIMED_OUT:
        limit_seconds = settings.install_timeout_seconds
        return f"The installation did not end within {limit_seconds:g} s. The limit is install_timeout_seconds, or --install-timeout."
    if result.reason is not None:
        return "The installation did not end by itself."
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    beginnings = [line[:_EXPLAINING_CHARACTERS] for line in lines]
    return explain(beginnings, python, " ".join(settings.index_urls)) or "The requirements could not be installed."


def _masked(text: str) -> str:
    from orchlite.core.text import mask_credentials

    return mask_credentials(text)


def _host_warnings(context: Context, orchestration: OrchestrationRow, installation: Installation) -> tuple[str, ...]:
    if orchestration.base_image != base_image.HOST:
        return ()
    host = context.environments.host_packages()
    return (*host.warnings, *context.environments.conflicts(installation.installed, host.directories))


def _report(context: Context, log: Path, installation: Installation, warnings: tuple[str, ...]) -> None:
    listed = [f"  {name}" for name in installation.installed] or ["  nothing"]
    lines = [*(f"warning: {warning}" for warning in warnings), "Installed in the environment:", *listed]
    logs.append(log, context.clock.now(), "\n".join(lines))


def _begin(context: Context, run: RunRow, orchestration: OrchestrationRow, log: Path) -> None:
    orchestration_id, now = orchestration.orchestration_id, context.clock.now()
    context.commit_eventually(
        lambda transaction: context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PACKAGING, now)
    )
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if run.attempt > 1:
        logs.append(log, now, f"attempt {run.attempt}: the host that was packaging before is gone")


def _note(context: Context, log: Path, error: Exception) -> None:
    """Let the log say why packaging failed, where the installer did not say it there already."""
    if isinstance(error, PackagingFailed) and "exit_code" in error.details:
        return
    with suppress(OSError):
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        logs.append(log, context.clock.now(), _masked(str(error)))


def _succeed(context: Context, run: RunRow, orchestration: OrchestrationRow, installation: Installation, warnings: tuple[str, ...]) -> None:
    orchestration_id = orchestration.orchestration_id

    def succeed(transaction: Transaction) -> None:
        context.store.orchestrations.set_environment(transaction, orchestration_id, installation.key, installation.installed)
        context.store.orchestrations.add_warnings(transaction, orchestration_id, warnings)
        context.store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.READY, context.clock.now())
        for waiting in context.store.tasks.waiting_for(transaction, orchestration_id):
            if waiting.kind is not TaskKind.ONCE:  # whose run has yet to begin; the others may be due from now on
                context.store.tasks.move(transaction, waiting.task_id, TaskStatus.STARTED, context.clock.now())
        _end(context, transaction, run, RunStatus.SUCCESS)

    context.commit_eventually(succeed)


def _fail(context: Context, run: RunRow, orchestration: OrchestrationRow, error: Exception, status: RunStatus) -> None:
    reason = _masked(str(error))
    _log.warning("packaging orchestration %s failed: %s", orchestration.orchestration_id, reason)

    refused: list[str] = []

    def fail(transaction: Transaction) -> None:
        _end(context, transaction, run, status, reason)
        refused[:] = fail_dependents(context, transaction, orchestration.orchestration_id, reason)

    context.commit_eventually(fail)
    notification.notify(context, run.run_id, status)
    for run_id in refused:
        notification.notify(context, run_id, RunStatus.FAILURE)


def fail_dependents(context: Context, transaction: Transaction, orchestration_id: str, reason: str) -> list[str]:
    """The orchestration will never be ready: it is in error, and what waited for it has failed without being started.

    Answers the ids of these runs, of which somebody may have to be told.
    """
    now, store = context.clock.now(), context.store
    store.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.ERROR, now, reason)
    refused = f"its orchestration could not be packaged: {reason}"
    run_ids: list[str] = []
    for waiting in store.tasks.waiting_for(transaction, orchestration_id):
        for queued in store.runs.unfinished_of_task(transaction, waiting.task_id):
            store.runs.end(transaction, queued.run_id, RunResult(RunStatus.FAILURE, None, None, now, None, refused))
            store.runs.promise_notification(transaction, queued.run_id, context.host_id)
            run_ids.append(queued.run_id)
        store.tasks.move(transaction, waiting.task_id, TaskStatus.FAILED, now, refused)
    return run_ids


def _end(context: Context, transaction: Transaction, run: RunRow, status: RunStatus, reason: str | None = None) -> None:
    now = context.clock.now()
    duration_seconds = None if run.claimed_at is None else (now - run.claimed_at).total_seconds()
    result = RunResult(status, 0 if status is RunStatus.SUCCESS else 1, run.claimed_at, now, duration_seconds, reason)
    outcome.record_end(context.store, transaction, Ending(run.run_id, run.task_id, result, host_id=context.host_id), now)


def packaging_failed(orchestration: OrchestrationRow) -> PackagingFailed:
    """The error that says why the orchestration is in `error`."""
    return PackagingFailed(
        f"Orchestration {orchestration.orchestration_id} could not be packaged: {orchestration.reason}",
        hint=PythonOnly("\nThe whole log: orchestration.task().wait().logs()."),
        orchestration_id=orchestration.orchestration_id,
    )
