"""Prepares a run before it is submitted, and removes what was prepared in vain, by this host or by a dead one.

Until its submission is committed, such a run has a folder and no row. A file in `hosts/`, whose name has the ids of the host and of the
run, leads to it, so that the next host finds it without listing all runs. It is made before the folder, and removed after it.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from orchlite.core.files import is_locked, remove_tree
from orchlite.core.folders import AttemptFolder, RunFolder
from orchlite.operations import liveness
from orchlite.operations.context import Assignment, Context
from orchlite.operations.run_spec import spec_of
from orchlite.operations.standbys import Expected, Standby
from orchlite.runs import survivors

_SUFFIX = ".standby"
_RUNNER_SECONDS = 2.0
_POLL_SECONDS = 0.005
_log = logging.getLogger(__name__)


def prepare(context: Context, is_idle: Callable[[], bool]) -> None:
    """Prepare the run that is expected next, if there is one and `is_idle()`. Never raises. Block while its bundle is unpacked."""
    expected = context.standbys.begin() if is_idle() else None
    if expected is None:
        return
    task_id, run_id, is_prepared = str(uuid.uuid4()), str(uuid.uuid4()), False
    try:
        is_prepared = _prepare(context, expected, task_id, run_id)
    except Exception:  # the run is started cold, which fails in the same way or does not
        _log.info("no run could be prepared", exc_info=True)
    finally:
        is_kept = context.standbys.finish(
            task_id, run_id, expected.orchestration.orchestration_id, lambda: is_prepared and is_idle() and not context.closed.is_set()
        )
    if not is_kept:
        withdraw(context, run_id)


def _prepare(context: Context, expected: Expected, task_id: str, run_id: str) -> bool:
    orchestration = expected.orchestration
    installation = context.environments.find_recorded(orchestration.environment_key)
    if installation is None or installation.installed != orchestration.installed:
        return False
    task = expected.task._replace(task_id=task_id)
    run = expected.run._replace(run_id=run_id, task_id=task_id, attempt=1, slot_at=None, repeated_slot_at=None)
    _marker(context, context.host_id, run_id).touch(mode=0o600)
    attempt = make_folders(context.folder.run(run_id), 1)
    unpack(context, orchestration.sha, attempt)
    for path in (attempt.arguments, attempt.log):  # to create a file takes longer than to write to one
        path.touch(mode=0o600)
    context.process.prepare(spec_of(context, Assignment(run, task, orchestration), installation))
    return True


def make_folders(folder: RunFolder, attempt_number: int) -> AttemptFolder:
    """Create the folders of an attempt that are missing, and return it.

    Raises:
        OSError: one cannot be created.
    """
    attempt = folder.attempt(attempt_number)
    for path in (folder.path, attempt.path, attempt.work):
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102 - quicker than Path.mkdir, and every run waits for it
    return attempt


def unpack(context: Context, sha: str, attempt: AttemptFolder) -> None:
    """Unpack a stored bundle into the attempt's working folder.

    Raises:
        BadBundle: it is damaged.
        OSError: it cannot be read, or the folder not be written.
    """
    from orchlite.bundles import bundle

    bundle.unpack(context.bundles.path(sha), attempt.work, sha)


def settle(context: Context, run_id: str) -> None:
    """Note that a prepared run has a row now. Never raises."""
    context.standbys.forget(run_id)
    with suppress(OSError):
        _marker(context, context.host_id, run_id).unlink(missing_ok=True)


def withdraw(context: Context, run_id: str) -> None:
    """Remove a run that has no row, prepared or not, with everything that it has started. Never raises."""
    folder = context.folder.run(run_id)
    with suppress(OSError):
        context.process.drop(folder)
        remove_tree(folder.path)
        settle(context, run_id)


def put_back(context: Context, standby: Standby) -> None:
    """Keep a standby of this host that was taken in vain, or remove it."""
    if not context.standbys.put_back(standby):
        withdraw(context, standby.run_id)


def drop(context: Context) -> None:
    """Remove the standby of this host, if there is one: something else happens than was expected. Block for milliseconds."""
    if (standby := context.standbys.take()) is not None:
        withdraw(context, standby.run_id)


def end(context: Context) -> None:
    """Remove the standby of this host, also one that is just being prepared, and prepare none until the next run. Block for up to 5 s."""
    if (standby := context.standbys.end()) is not None:
        withdraw(context, standby.run_id)


def drop_expired(context: Context) -> None:
    """Remove the standby of this host if it has stood by for long enough."""
    if (standby := context.standbys.take_expired()) is not None:
        withdraw(context, standby.run_id)


def close(context: Context) -> None:
    """Remove the standby of this host, and keep none from now on. The store is closed: what was not submitted never will be."""
    for standby in context.standbys.close():
        withdraw(context, standby.run_id)


def abandoned(context: Context) -> Iterator[Path]:
    """Yield the files in `hosts/` that lead to standbys of dead hosts."""
    for marker in context.folder.hosts.glob(f"*{_SUFFIX}"):
        if not liveness.is_alive(context.folder.hosts, marker.name.partition(".")[0]):
            yield marker


def remove_abandoned(context: Context, marker: Path) -> None:
    """End what is left of a dead host's standby, and remove it; if it was submitted, only `marker`. Block for 10 s at most.

    Raises:
        StoreBusy, StoreDamaged, DeviceFailed, Closed: the store cannot be read.
        OSError: it cannot be removed.
    """
    run_id = marker.name.split(".")[1]
    if context.store.runs.find(run_id) is None:
        folder = context.folder.run(run_id)
        give_up_at = time.monotonic() + _RUNNER_SECONDS
        while is_locked(folder.alive_lock) and time.monotonic() < give_up_at:  # its runner sees the end of file, and drops it
            time.sleep(_POLL_SECONDS)
        if is_locked(folder.alive_lock):
            return
        if survivors.processes_of(folder):  # a stopped one does not see it
            context.process.discard(folder)
        remove_tree(folder.path)
    marker.unlink(missing_ok=True)


def remove_all_abandoned(context: Context) -> None:
    """Remove the standbys of all dead hosts; see `remove_abandoned`."""
    for marker in list(abandoned(context)):
        remove_abandoned(context, marker)


def end_attempt(context: Context, folder: RunFolder) -> None:
    """End what an attempt that was never started has left at the gate: its processes bear the ids of the next attempt, too."""
    if folder.is_held():
        context.process.discard(folder)
        for held in folder.path.glob("*/held"):
            held.unlink(missing_ok=True)


def _marker(context: Context, host_id: str, run_id: str) -> Path:
    return context.folder.hosts / f"{host_id}.{run_id}{_SUFFIX}"
