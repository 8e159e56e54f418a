"""The end of an engine: by its client, by a forgotten client at the interpreter's exit, or with everything that it made."""

from __future__ import annotations

import atexit
import sys
import time
from contextlib import suppress

from orchlite.core.errors import DeviceFailed, OrchliteError
from orchlite.core.files import remove_tree
from orchlite.core.status import RunStatus
from orchlite.engine.engine import Engine

_EXIT_SECONDS = 3.0
_open: dict[Engine, bool] = {}
"""The engines that nobody has closed, and whether each is temporary."""


def close_at_exit(engine: Engine, is_temporary: bool) -> None:
    """Close this engine when the interpreter exits, should nobody have done it before."""
    if not _open:
        atexit.register(_close_all)
    _open[engine] = is_temporary


def unregister(engine: Engine) -> None:
    """Nothing is left to do at exit."""
    if engine.is_closed and _open.pop(engine, None) is not None and not _open:
        atexit.unregister(_close_all)


def close_temporary(engine: Engine, patience_seconds: float | None = None) -> None:
    """Kill what runs, close, remove the store's folder. In a forked child nothing happens.

    The runs have their grace, or as long as is said.
    """
    if not engine.is_closed and engine.is_ours():
        with suppress(DeviceFailed):  # a store that is lost cannot say what runs; the leash ends it
            engine.kill_all(patience_seconds)
        engine.close(drain=False)
        remove_tree(engine.context.folder.path)
    unregister(engine)


def _close_all() -> None:
    engines = [(engine, is_temporary) for engine, is_temporary in _open.items() if engine.is_ours()]
    give_up_at = time.monotonic() + _EXIT_SECONDS  # for all of them together: the interpreter is to exit
    for engine, is_temporary in engines:
        if is_temporary:
            with suppress(OrchliteError, OSError):
                engine.request_kills()
    for engine, is_temporary in engines:
        # What is wrong with one store must not keep the others open.
        with suppress(OrchliteError, OSError):
            if is_temporary:
                close_temporary(engine, max(0.0, give_up_at - time.monotonic()))
            else:
                _leave(engine)


def _leave(engine: Engine) -> None:
    queued = [run for run in engine.unfinished() if run.status is RunStatus.QUEUED]
    engine.close(drain=False)
    if queued:
        path = str(engine.context.folder.path)
        print(f"orchlite: {len(queued)} queued in {path}; Client({path!r}).start() runs what is left there.", file=sys.stderr)
