"""The packages that the program of a run sees.

They are noted in the attempt's folder before the program starts, so that any host can record them with the outcome, and the note is removed
once that is committed.
"""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from pathlib import Path

from orchlite.core.files import private_opener
from orchlite.core.folders import AttemptFolder
from orchlite.core.records import OrchestrationRow, Packages, RunRow
from orchlite.environments.base_image import HOST
from orchlite.environments.builds import Installation
from orchlite.operations.context import Context

_MAX_BYTES = 16 * 1024 * 1024


def note(context: Context, orchestration: OrchestrationRow, installation: Installation, attempt: AttemptFolder) -> None:
    """Note what the program of this attempt will see.

    Raises:
        OSError: the file cannot be written.
    """
    environments = context.environments
    host = environments.host_versions(environments.host_packages().directories) if orchestration.base_image == HOST else ()
    packages = Packages(platform.python_version(), installation.installed, host)
    with open(attempt.packages, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(json.dumps(packages._asdict()))


def noted(context: Context, run: RunRow, attempt: int) -> Packages | None:
    """Return what was noted for this attempt; None if nothing was, or the file is damaged."""
    path = _path(context, run, attempt)
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
            return None
        return Packages.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def forget(context: Context, run: RunRow, attempt: int) -> None:
    """Remove what was noted for this attempt."""
    with suppress(OSError):
        _path(context, run, attempt).unlink()


def of_run(context: Context, run: RunRow) -> Packages | None:
    """Return the packages that the program of the run sees, or has seen; None if it was not started, or that is not known."""
    return context.store.run_packages.get(run.run_id) or (noted(context, run, run.attempt) if run.attempt else None)


def _path(context: Context, run: RunRow, attempt: int) -> Path:
    return context.folder.run(run.run_id).attempt(attempt).packages
