"""One packaging run: make or find the environment that an orchestration needs, and say so in a log.

The installer is run by a runner, as a run of its own inside the packaging run's folder and on a leash: its output is logged, its
time bounded and its processes ended by the same means as a user's program.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite import logs
from orchlite.environments import Building
from orchlite.errors import Closed, PackagingFailed
from orchlite.open_store import OpenStore
from orchlite.records import Assignment, Ended, Installation, OrchestrationRow, RunFolder, RunResult, RunRow, RunSpec
from orchlite.status import OrchestrationStatus, RunStatus, TaskStatus
from orchlite.store.database import Transaction

_LAST_LINES = 12
_log = logging.getLogger(__name__)


class InstallFiles(NamedTuple):
    """Where one installation leaves its files."""

    folder: RunFolder
    log: Path


def install_files(folder: RunFolder, attempt: int, log: str = "log") -> InstallFiles:
    """The place of the installation that a run makes: a packaging run, or one whose environment is gone. Its name is unique."""
    inside = folder.attempt(attempt).path
    return InstallFiles(RunFolder(inside / f"install-{folder.run_id}"), inside / log)


def package(store: OpenStore, assignment: Assignment) -> None:
    """Bring a claimed packaging run, and with it its orchestration, to the end."""
    run, orchestration = assignment.run, assignment.orchestration
    place = install_files(store.folder.run(run.run_id), run.attempt)
    _log.info("packaging orchestration %s", orchestration.orchestration_id)
    try:
        _begin(store, run, orchestration, place.log)
        installation = provide(store, orchestration.requirements, place)
        warnings = _host_warnings(store, orchestration, installation)
        _report(store, place.log, installation, warnings)
        store.environments.sdk()  # so that no run has to wait for it
        store.process.warm()
    except Closed:
        raise
    except Exception as error:  # whatever it is, what waits for this packaging must hear of it
        _note(store, place.log, error)
        _fail(store, run, orchestration, error, RunStatus.KILLED if place.folder.cancel.exists() else RunStatus.FAILURE)
    else:
        _succeed(store, run, orchestration, installation, warnings)


def provide(store: OpenStore, requirements: tuple[str, ...], place: InstallFiles) -> Installation:
    """The environment for these requirements, built where it is missing; blocks while somebody else builds it.

    Raises:
        PackagingFailed: the installer failed, took too long or was cancelled; the message ends with its last lines.
    """
    key = store.environments.key(requirements)
    found = store.environments.find(key)
    if found is not None:
        return found
    with store.environments.building(key, place.folder.cancel.exists) as building:
        if building.found is not None:
            return building.found
        building.make()
        if requirements:
            _install(store, building, requirements, place)
        return building.finish()


def _install(store: OpenStore, building: Building, requirements: tuple[str, ...], place: InstallFiles) -> None:
    place.folder.attempt(1).path.mkdir(mode=0o700, parents=True, exist_ok=True)
    order = building.install_order(requirements, store.settings.index_urls)
    spec = RunSpec(
        run_id=place.folder.run_id,
        attempt=1,
        folder=str(place.folder.path),
        command=order.command,
        working_folder=str(order.working_folder),
        env={**order.env, "ORCHLITE_RUN_TOKEN": place.folder.run_id},
        log=str(place.log),
        timeout_seconds=store.settings.install_timeout_seconds,
        grace_seconds=0,
        log_bytes=store.settings.limits.log_bytes,
        leash=True,
        environment_lock=str(order.lock),
    )
    store.process.place(spec)
    look = store.process.wait(place.folder)
    if not isinstance(look, Ended):
        store.process.discard(place.folder)
        raise PackagingFailed("The installer's runner was killed.", hint="Upload the orchestration again.")
    if look.result.status is not RunStatus.SUCCESS:
        raise _failure(look.result, place.log)


def _failure(result: RunResult, log: Path) -> PackagingFailed:
    from orchlite.requirements import mask_credentials

    lines = [line.text for line in logs.read(log, _LAST_LINES)]
    how = f"ended with exit code {result.exit_code}" if result.reason is None else f"was stopped: {result.reason}"
    said = next((line for line in reversed(lines) if line.startswith("ERROR: ")), "")
    message = "\n".join([f"{said.removeprefix('ERROR: ')} (The installer {how}.)".strip(), "Its last lines:", *lines])
    return PackagingFailed(
        mask_credentials(message), hint="\nThe whole log: orchestration.task().wait().logs().", exit_code=result.exit_code
    )


def _host_warnings(store: OpenStore, orchestration: OrchestrationRow, installation: Installation) -> tuple[str, ...]:
    if orchestration.base_image != "host":
        return ()
    host = store.environments.host_packages()
    return (*host.warnings, *store.environments.conflicts(installation.installed, host.directories))


def _report(store: OpenStore, log: Path, installation: Installation, warnings: tuple[str, ...]) -> None:
    listed = [f"  {name}" for name in installation.installed] or ["  nothing"]
    lines = [*(f"warning: {warning}" for warning in warnings), "Installed in the environment:", *listed]
    logs.append(log, store.clock.now(), "\n".join(lines))


def _begin(store: OpenStore, run: RunRow, orchestration: OrchestrationRow, log: Path) -> None:
    orchestration_id, now = orchestration.orchestration_id, store.clock.now()
    store.persist(lambda transaction: store.memory.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.PACKAGING, now))
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if run.attempt > 1:
        logs.append(log, now, f"attempt {run.attempt}: the host that was packaging before is gone")


def _note(store: OpenStore, log: Path, error: Exception) -> None:
    """Let the log say why packaging failed, where the installer did not say it there already."""
    if isinstance(error, PackagingFailed) and "exit_code" in error.details:
        return
    with suppress(OSError):
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        logs.append(log, store.clock.now(), str(error))


def _succeed(store: OpenStore, run: RunRow, orchestration: OrchestrationRow, installation: Installation, warnings: tuple[str, ...]) -> None:
    orchestration_id = orchestration.orchestration_id

    def succeed(transaction: Transaction) -> None:
        store.memory.orchestrations.set_environment(transaction, orchestration_id, installation.key, installation.installed)
        store.memory.orchestrations.add_warnings(transaction, orchestration_id, warnings)
        store.memory.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.READY, store.clock.now())
        _end(store, transaction, run, RunStatus.SUCCESS)

    store.persist(succeed)


def _fail(store: OpenStore, run: RunRow, orchestration: OrchestrationRow, error: Exception, status: RunStatus) -> None:
    reason = str(error)
    _log.warning("packaging orchestration %s failed: %s", orchestration.orchestration_id, reason)

    def fail(transaction: Transaction) -> None:
        _end(store, transaction, run, status, reason)
        give_up(store, transaction, orchestration.orchestration_id, reason)

    store.persist(fail)


def give_up(store: OpenStore, transaction: Transaction, orchestration_id: str, reason: str) -> None:
    """The orchestration will never be ready: it is in error, and what waited for it has failed without being started."""
    now, memory = store.clock.now(), store.memory
    memory.orchestrations.move(transaction, orchestration_id, OrchestrationStatus.ERROR, now, reason)
    refused = f"its orchestration could not be packaged: {reason}"
    for waiting in memory.tasks.waiting_for(transaction, orchestration_id):
        for queued in memory.runs.unfinished_of_task(transaction, waiting.task_id):
            memory.runs.end(transaction, queued.run_id, RunResult(RunStatus.FAILURE, None, None, now, None, refused))
        memory.tasks.move(transaction, waiting.task_id, TaskStatus.FAILED, now, refused)


def _end(store: OpenStore, transaction: Transaction, run: RunRow, status: RunStatus, reason: str | None = None) -> None:
    now = store.clock.now()
    duration_seconds = None if run.claimed_at is None else (now - run.claimed_at).total_seconds()
    result = RunResult(status, 0 if status is RunStatus.SUCCESS else 1, run.claimed_at, now, duration_seconds, reason)
    store.memory.runs.end(transaction, run.run_id, result)
    store.memory.end_killed_task(transaction, run.task_id, now)
