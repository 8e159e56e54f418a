"""Closes engines: on a signal, at the client's request, at the interpreter's exit if still open, or with everything it created."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType

from orchlite.core.errors import BadArgument, DeviceFailed, OrchliteError
from orchlite.core.files import remove_tree
from orchlite.core.hints import PythonOnly
from orchlite.core.status import RunStatus
from orchlite.core.threads import start_daemon
from orchlite.engine.engine import Engine

_EXIT_SECONDS = 3.0
_SIGNAL_SECONDS = 0.5
_open: dict[Engine, bool] = {}
"""The engines that were not closed, and whether each is temporary."""


def run_until_signalled(
    engine: Engine,
    signals: Iterable[signal.Signals],
    close: Callable[[], None],
    on_start: Callable[[], None] | None = None,
    *,
    adopt_copy: bool = False,
) -> None:
    """Serve the whole store until one of the signals arrives, or the engine is closed elsewhere; then call `close`.

    Do the same if the store becomes unusable, and raise that.

    The signals are handled until `close` returns, so that a late one does not interrupt it. `on_start` is called once they are handled and
    the engine has started: from then on they may be sent.

    Raises:
        BadArgument: one of the signals cannot be handled. Nothing was started.
        Conflict: this process is a run of this store.
        StoreDamaged, StoreTooNew: the store became unusable.
    """
    context = engine.context
    context.raises_failure = True
    # Not an event: a second signal may interrupt the handler of the first inside the event's lock, and would wait for it forever.
    stop: SimpleQueue[None] = SimpleQueue()
    with _handled(signals, stop):
        engine.start(adopt_copy=adopt_copy)
        try:
            start_daemon(partial(_forward, context.closed, stop), "orchlite-shutdown")
            if on_start is not None:
                on_start()
            _wait(stop)
        finally:
            close()
    if context.failure is not None:
        raise context.failure


def close_at_exit(engine: Engine, is_temporary: bool) -> None:
    """Close this engine when the interpreter exits, unless `unregister` is called first."""
    if not _open:
        atexit.register(_close_all)
    _open[engine] = is_temporary


def unregister(engine: Engine) -> None:
    """Do nothing at exit for an engine that was closed."""
    if engine.is_closed and _open.pop(engine, None) is not None and not _open:
        atexit.unregister(_close_all)


def close_temporary(engine: Engine, timeout_seconds: float | None = None) -> None:
    """Kill the runs in flight, close the engine, and remove the store's folder. Does nothing in a forked child.

    The runs have their grace to end, or `timeout_seconds`.
    """
    if not engine.is_closed and engine.is_ours():
        try:
            with suppress(DeviceFailed):  # without the store it is not known what is in flight; the leash ends it
                engine.kill_all(timeout_seconds)
        finally:  # after an interrupt, too
            engine.close(drain=False)
            remove_tree(engine.context.folder.path)
    unregister(engine)


def _close_all() -> None:
    engines = [(engine, is_temporary) for engine, is_temporary in _open.items() if engine.is_ours()]
    deadline = time.monotonic() + _EXIT_SECONDS  # for all of them together: the interpreter is exiting
    for engine, is_temporary in engines:
        if is_temporary:
            with suppress(OrchliteError, OSError):
                engine.request_kills()
    for engine, is_temporary in engines:
        # What is wrong with one store must not keep the others open.
        with suppress(OrchliteError, OSError):
            if is_temporary:
                close_temporary(engine, max(0.0, deadline - time.monotonic()))
            else:
                _close_and_report(engine)


def _close_and_report(engine: Engine) -> None:
    queued = [run for run in engine.unfinished() if run.status is RunStatus.QUEUED]
    engine.close(drain=False)
    if queued:
        path = str(engine.context.folder.path)
        count = f"{len(queued)} run is" if len(queued) == 1 else f"{len(queued)} runs are"
        print(f"orchlite: {count} still queued in {path}; Client({path!r}).start() executes them.", file=sys.stderr, flush=True)


def _wait(stop: SimpleQueue[None]) -> None:
    # With a timeout: the kernel may deliver a signal to another thread, as after SIGSTOP, SIGTERM and SIGCONT. It does not interrupt this
    # wait then, and Python runs the handler only when the main thread executes code again.
    while True:
        with suppress(Empty):
            return stop.get(timeout=_SIGNAL_SECONDS)


def _forward(closed: threading.Event, stop: SimpleQueue[None]) -> None:
    closed.wait()
    stop.put(None)


@contextmanager
def _handled(signals: Iterable[signal.Signals], stop: SimpleQueue[None]) -> Iterator[None]:
    """Have these signals put into `stop` while the block runs; restore their handlers afterwards."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop.put(None)

    before: dict[signal.Signals, signal._HANDLER] = {}
    try:
        for number in signals:
            before[number] = _handle(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not installed by Python


def _handle(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> signal._HANDLER:
    try:
        return signal.signal(number, handler)
    except (ValueError, TypeError, OSError) as error:
        if threading.current_thread() is not threading.main_thread():
            hint = PythonOnly("Only the main thread can: call run_forever() there, or pass signals=() and stop it with close().")
        else:
            hint = PythonOnly("It takes signals that a program can handle: (signal.SIGTERM, signal.SIGINT).")
        raise BadArgument(f"The signal {number!r:.80} cannot be handled: {error}.", hint=hint, argument="signals") from error
