"""The metrics of a run: what its program has written to `metrics.json` in its working folder, an object of finite numbers."""

from __future__ import annotations

import json
import logging
import math
import os
import stat
from pathlib import Path

from orchlite.core.errors import BadBundle
from orchlite.core.records import RunRow
from orchlite.core.sizes import size_text
from orchlite.operations import workdirs
from orchlite.operations.context import Context

_NAME = "metrics.json"
_MAX_BYTES = 64 * 1024
_MAX_NAME = 100
_log = logging.getLogger(__name__)


def left_by(context: Context, run: RunRow) -> dict[str, float]:
    """Return the metrics that a run has left; empty if it has left none, or none that can be used, which a warning in the log explains."""
    if not os.path.lexists(context.folder.run(run.run_id).attempt(run.attempt).work / _NAME):
        return {}  # first: nearly every run leaves none
    attempt = workdirs.work_folder(context, run)
    if attempt is None:
        return {}
    try:
        return _read(attempt.work / _NAME) if _is_made_by(context, run, attempt.work) else {}
    except (OSError, ValueError, RecursionError, BadBundle) as error:
        _log.warning("run %s: its %s is ignored: %s", run.run_id, _NAME, error)
        return {}


def _is_made_by(context: Context, run: RunRow, work: Path) -> bool:
    from orchlite.bundles import bundle

    sha = context.store.orchestrations.of_run(run.run_id).sha
    return bundle.is_changed(context.bundles.path(sha), work, _NAME)


def _read(path: Path) -> dict[str, float]:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {size_text(_MAX_BYTES)}")
    metrics = json.loads(content)
    if not isinstance(metrics, dict):
        raise ValueError("it is no object")
    for name, value in metrics.items():
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise ValueError(f"{name[:_MAX_NAME]!r} is no name of 1 to {_MAX_NAME} printable characters")
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise ValueError(f"{name!r} is no finite number")
    return metrics


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False
