"""What is kept of a run's work folder after its end. Cleaning up is never urgent: workers do it while no run waits for them."""

from __future__ import annotations

import logging
from pathlib import Path

from orchlite.core.errors import Closed, NotFound, OrchliteError
from orchlite.core.files import open_below, remove_tree
from orchlite.core.folders import AttemptFolder
from orchlite.core.records import RunRow
from orchlite.core.status import UNSUCCESSFUL, RunStatus
from orchlite.core.system_errors import is_shortage
from orchlite.core.text import quoted
from orchlite.operations.context import Context

_KEPT_FAILURES = 3
_log = logging.getLogger(__name__)


def clean_up(context: Context) -> None:
    """Clean up the work folders of all runs that were scheduled for it, until the store is closed."""
    for run in context.cleaner.take_all():
        try:
            _clean_up(context, run)
        except Closed:
            return  # what is left stays until the run is pruned
        except (OSError, OrchliteError):
            _log.info("the work folder of run %s could not be cleaned up", run.run_id, exc_info=True)


def work_folder(context: Context, run: RunRow) -> AttemptFolder | None:
    """Return the folder of the attempt that ran; None if nothing was started, nothing is left, or a link in its place leads elsewhere."""
    attempt = _attempt(context, run)
    return attempt if attempt is not None and not attempt.work.is_symlink() and attempt.work.is_dir() else None


def changed_files(context: Context, run_id: str) -> tuple[Path, list[Path]]:
    """Return the run's work folder, and the files there that its program created or changed: relative paths, sorted.

    Raises:
        NotFound: there is no such run.
        BadBundle: the stored bundle, with which the folder is compared, is damaged.
    """
    from orchlite.bundles import bundle

    attempt = work_folder(context, context.store.runs.get(run_id))
    if attempt is None:
        return Path(), []
    sha = context.store.orchestrations.of_run(run_id).sha
    return attempt.work, bundle.changed_files(context.bundles.path(sha), attempt.work)


def open_file(context: Context, run_id: str, name: str) -> int:
    """Open a file of the run's work folder for reading, and return the descriptor: a regular file that no link leads to.

    Raises:
        NotFound: there is no such run, or no such file.
    """
    attempt = work_folder(context, context.store.runs.get(run_id))
    try:
        if attempt is not None:
            return open_below(attempt.work, name)
    except OSError as error:
        if is_shortage(error):
            raise
    raise NotFound(f"Run {run_id} has no file {quoted(name)}.", run_id=run_id)


def _attempt(context: Context, run: RunRow) -> AttemptFolder | None:
    folder = context.folder.run(run.run_id)
    attempt = folder.attempt(run.attempt)
    return attempt if run.attempt and not folder.path.is_symlink() and not attempt.path.is_symlink() else None


def _clean_up(context: Context, run: RunRow) -> None:
    if context.settings.keep_work == "none":
        if (attempt := _attempt(context, run)) is not None:
            remove_tree(attempt.work)
    elif run.status is RunStatus.SUCCESS:
        _remove_unchanged(context, run)
    else:
        # The newest 3 failed runs of a task keep everything, to be examined.
        for older in context.store.runs.of_task(run.task_id, _KEPT_FAILURES + 1, UNSUCCESSFUL)[_KEPT_FAILURES:]:
            _remove_unchanged(context, older)


def _remove_unchanged(context: Context, run: RunRow) -> None:
    from orchlite.bundles import bundle

    attempt = work_folder(context, run)
    if attempt is not None:
        bundle.remove_unchanged(context.bundles.path(context.store.orchestrations.of_run(run.run_id).sha), attempt.work)
