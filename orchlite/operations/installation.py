"""Finds the environment of an orchestration, or has it built: with the versions that are recorded for the orchestration, if there are any.

The installer is run by a runner, as a run of its own inside the folder of the run that needs it, and on a leash. So its output is logged,
its time limited and its processes ended by the same means as a user's program.

Orchestrations with equal requirements share an environment. If another one has had that built with other versions, an orchestration gets an
environment of its own, with the versions that it was packaged with.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import PackagingFailed
from orchlite.core.files import make_private_folders
from orchlite.core.folders import RunFolder
from orchlite.core.records import OrchestrationRow, RunResult
from orchlite.core.status import RunStatus
from orchlite.core.text import mask_credentials
from orchlite.environments import base_image
from orchlite.environments.builds import Build, Installation
from orchlite.environments.installers import InstallCommand
from orchlite.environments.pin_sets import THIS_PYTHON
from orchlite.operations.context import Context
from orchlite.runs import logs
from orchlite.runs.spec import Ended, NeverStarted, RunSpec

_QUOTED_LINES = 12
_DIAGNOSED_LINES = 400
_DIAGNOSED_CHARACTERS = 65_536  # of one line, in which pip may list every version of a package
_NEXT_TRY = "The recorded versions cannot be installed, so others are chosen"
"""How the line between the output of two installations begins."""
_log = logging.getLogger(__name__)


class InstallFiles(NamedTuple):
    """Where one installation writes its files."""

    folder: RunFolder
    log: Path


class Needs(NamedTuple):
    """What an environment must contain."""

    requirements: tuple[str, ...]
    recorded: tuple[str, ...]
    """The versions to install, `name==version`, if that is possible; empty: the newest that the requirements allow."""


class Provided(NamedTuple):
    """An environment for an orchestration."""

    installation: Installation
    objection: str | None = None
    """Why it could not be built with the recorded versions, if that was tried."""


def install_files(folder: RunFolder, attempt: int, log: str = "log") -> InstallFiles:
    """Return the paths of the installation that an attempt makes: one of packaging, or of a run whose environment has been removed.

    `log` is the file's name in the attempt's folder. The installation's run id contains the run's, so it is unique.
    """
    inside = folder.attempt(attempt).path
    return InstallFiles(RunFolder(inside / f"install-{folder.run_id}"), inside / log)


def find_environment(context: Context, orchestration: OrchestrationRow) -> Installation | None:
    """Return the environment of an orchestration that has never been packaged, if it exists already.

    Raises:
        PackagingFailed: there is no installer, or pip's configuration cannot be read.
    """
    requirements = base_image.effective_requirements(orchestration.base_image, orchestration.requirements)
    return context.environments.find(context.environments.key(requirements))


def ensure_environment(context: Context, orchestration: OrchestrationRow, files: InstallFiles, *, refresh: bool = False) -> Provided:
    """Return the environment that the orchestration needs; build it if it is missing, or in any case with `refresh`.

    It has the versions that are recorded, if it has been built before and they can still be installed; with `refresh`, they are chosen
    again. Block while it is being built, here or by another process.

    Raises:
        PackagingFailed: the installer is missing, failed, took too long or was cancelled; the message ends with its last lines.
        WaitTimeout: cancelled while another process was building it.
        StorageFull, DeviceFailed: the cache cannot be written.
        Closed: the store was closed meanwhile.
    """
    environments, recorded = context.environments, () if refresh else orchestration.installed
    found = None if refresh else environments.find_recorded(orchestration.environment_key)
    if found is not None and found.installed == recorded:
        return Provided(found)
    needs = Needs(base_image.effective_requirements(orchestration.base_image, orchestration.requirements), recorded)
    key = environments.key(needs.requirements)
    shared = None if refresh else environments.find(key)
    if shared is None:
        _log_changes(context, {orchestration.environment_key or key, key}, files.log)
        with environments.building(key, files.folder.cancel.exists, refresh=refresh) as build:
            if build.found is None:
                return _fill(context, build, needs, files)
            shared = build.found
    return Provided(shared) if recorded in ((), shared.installed) else _own_environment(context, needs, files, shared)


def _own_environment(context: Context, needs: Needs, files: InstallFiles, shared: Installation) -> Provided:
    """Return an environment of the recorded versions that is not the shared one; `shared` if none can be built."""
    key = context.environments.key(needs.requirements, needs.recorded)
    found = context.environments.find(key)
    if found is not None:
        return Provided(found)
    try:
        with context.environments.building(key, files.folder.cancel.exists) as build:
            return Provided(build.found) if build.found is not None else _fill(context, build, needs, files)
    except PackagingFailed as error:
        if files.folder.cancel.exists():
            raise
        return Provided(shared, _first_line(str(error)))


def _fill(context: Context, build: Build, needs: Needs, files: InstallFiles) -> Provided:
    """Create the environment, install into it, and finish it."""
    build.create()
    objection = _install(context, build, needs, files) if needs.requirements else None
    return Provided(build.finish(), objection)


def _log_changes(context: Context, keys: set[str], log: Path) -> None:
    """Write to both logs which of these environments a program has changed, so that it is built again."""
    for change in filter(None, map(context.environments.change, sorted(keys))):
        text = f"a program has changed the environment, which other runs share, in {change}; it is built again"
        _log.warning(text)
        with suppress(OSError):
            make_private_folders(log.parent.parent, log.parent)
            logs.append(log, context.clock.now(), text)


def _install(context: Context, build: Build, needs: Needs, files: InstallFiles) -> str | None:
    """Install the recorded versions, or others if that fails; return why it failed."""
    objection = None
    if needs.recorded:
        result = _install_as_pip(context, build, needs, files, 1)
        if result.status is RunStatus.SUCCESS:
            return None
        if result.reason is not None:
            raise _failure(context, result, files, needs)
        objection = _objection(_cause(context, result, files, needs))
        logs.append(files.log, context.clock.now(), f"{_NEXT_TRY}: {objection}")
        _start_again(build, files)
    result = _install_as_pip(context, build, needs._replace(recorded=()), files, 3)
    if result.status is not RunStatus.SUCCESS:
        raise _failure(context, result, files, needs)
    return objection


def _install_as_pip(context: Context, build: Build, needs: Needs, files: InstallFiles, number: int) -> RunResult:
    """Execute the chosen installer as attempt `number`; if that is uv, and pip would install something else, pip as the next one."""
    result = _run_installer(context, build, needs, files, number)
    if result.reason is None and context.environments.may_use_pip(needs.requirements):
        is_refused = result.status is not RunStatus.SUCCESS
        why = "uv failed" if is_refused else context.environments.difference_from_pip(build, needs.requirements)
        if why:
            logs.append(files.log, context.clock.now(), f"pip installs instead of uv: {why}")
            _start_again(build, files)
            return _run_installer(context, build, needs, files, number + 1, use_pip=True)
    return result


def _start_again(build: Build, files: InstallFiles) -> None:
    build.create()
    files.folder.started.unlink(missing_ok=True)


def _run_installer(context: Context, build: Build, needs: Needs, files: InstallFiles, number: int, *, use_pip: bool = False) -> RunResult:
    attempt = files.folder.attempt(number)
    make_private_folders(*reversed(files.folder.path.parents[:2]), files.folder.path, attempt.path)
    command = context.environments.install_command(build, needs.requirements, needs.recorded, use_pip=use_pip)
    context.process.place(_installer_spec(context, command, files, number))
    observed = context.process.wait(files.folder)
    if not isinstance(observed, Ended):
        context.process.discard(files.folder)
        refusal = observed.reason if isinstance(observed, NeverStarted) else None
        complaint = f"The installer could not be started: {refusal}." if refusal else "The installer's runner was killed."
        raise PackagingFailed(complaint, hint="Upload the orchestration again.")
    return observed.result


def _installer_spec(context: Context, command: InstallCommand, files: InstallFiles, number: int) -> RunSpec:
    return RunSpec(
        run_id=files.folder.run_id,
        attempt=number,
        folder=str(files.folder.path),
        command=command.args,
        working_folder=str(command.working_folder),
        env={**command.env, "ORCHLITE_RUN_TOKEN": files.folder.run_id},
        log=str(files.log),
        timeout_seconds=context.settings.install_timeout_seconds,
        grace_seconds=0,
        log_bytes=context.settings.limits.log_bytes,
        leash=True,
        environment_lock=str(command.lock),
        masked=True,
    )


def _failure(context: Context, result: RunResult, files: InstallFiles, needs: Needs) -> PackagingFailed:
    how = f"ended with exit code {result.exit_code}" if result.reason is None else f"was stopped: {result.reason}"
    quoted = [line.text for line in logs.read(files.log, _QUOTED_LINES)]
    message = "\n".join([f"{_cause(context, result, files, needs)} (The installer {how}.)", "Its last lines:", *quoted])
    return PackagingFailed(mask_credentials(message), exit_code=result.exit_code)


def _cause(context: Context, result: RunResult, files: InstallFiles, needs: Needs) -> str:
    from orchlite.environments.diagnosis import explain

    if result.status is RunStatus.TIMED_OUT:
        limit_seconds = context.settings.install_timeout_seconds
        return f"The installation did not end within {limit_seconds:g} s. The limit is install_timeout_seconds, or --install-timeout."
    if result.reason is not None:
        return "The installation did not end by itself."
    lines = [line.text[:_DIAGNOSED_CHARACTERS] for line in logs.read(files.log, _DIAGNOSED_LINES)]
    begin = max((number for number, line in enumerate(lines, 1) if line.startswith(_NEXT_TRY)), default=0)
    indexes = " ".join(context.settings.index_urls)
    return explain(lines[begin:], THIS_PYTHON, indexes, needs.requirements) or "The requirements could not be installed."


def _objection(cause: str) -> str:
    from orchlite.environments.diagnosis import CONTRADICTION

    # The recorded versions have fitted together once.
    return f"they are not all available for this Python ({THIS_PYTHON})" if cause == CONTRADICTION else _first_line(cause)


def _first_line(text: str) -> str:
    return mask_credentials(text.partition("\n")[0])
