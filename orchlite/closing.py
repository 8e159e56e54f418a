"""The end of an engine: by its client, by a forgotten client at the interpreter's exit, or with everything that it made."""

from __future__ import annotations

import atexit
import shutil
import sys

from orchlite.engine import Engine

_EXIT_SECONDS = 3.0
_open: dict[Engine, bool] = {}
"""The engines that nobody has closed, and whether each is temporary."""


def close_at_exit(engine: Engine, is_temporary: bool) -> None:
    """Close this engine when the interpreter exits, should nobody have done it before."""
    if not _open:
        atexit.register(_close_all)
    _open[engine] = is_temporary


def was_closed(engine: Engine) -> None:
    """Nothing is left to do at exit."""
    if engine.is_closed and _open.pop(engine, None) is not None and not _open:
        atexit.unregister(_close_all)


def close_temporary(engine: Engine, patience_seconds: float | None = None) -> None:
    """Kill what runs, close, remove the store's folder. In a forked child nothing happens.

    The runs have their grace, or as long as is said.
    """
    if not engine.is_closed and engine.is_ours():
        engine.kill_everything(patience_seconds)
        engine.close(drain=False)
        shutil.rmtree(engine.store.folder.path, ignore_errors=True)
    was_closed(engine)


def _close_all() -> None:
    for engine, is_temporary in list(_open.items()):
        if not engine.is_ours():
            continue
        if is_temporary:
            close_temporary(engine, _EXIT_SECONDS)
        else:
            _leave(engine)


def _leave(engine: Engine) -> None:
    queued = [run for run in engine.unfinished() if not run.attempt]
    engine.close(drain=False)
    if queued:
        path = str(engine.store.folder.path)
        print(f"orchlite: {len(queued)} queued in {path}; Client({path!r}).start() runs what is left there.", file=sys.stderr)
