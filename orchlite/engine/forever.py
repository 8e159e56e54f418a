"""Working until somebody says stop: for a process that has nothing else to do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from orchlite.core.errors import BadArgument
from orchlite.engine.engine import Engine


def work_until_stopped(
    engine: Engine, signals: Iterable[signal.Signals], close: Callable[[], None], begun: Callable[[], None] | None = None
) -> None:
    """Work for the whole store until one of these signals arrives, or the engine is closed elsewhere; then close it.

    The signals are handled until it is closed, so that one that comes late does not cut that short. `begun` is called once they are, and
    the work has begun: whoever hears of it may send one.

    Raises:
        BadArgument: one of the signals cannot be handled, here or at all. Nothing has begun.
    """
    # Not an event: a second signal may come while the first is inside its lock, and would wait for it for ever.
    stop: SimpleQueue[None] = SimpleQueue()
    with _handled(signals, stop):
        engine.start()
        try:
            threading.Thread(target=_pass_on, args=(engine.context.closed, stop), name="orchlite-forever", daemon=True).start()
            if begun is not None:
                begun()
            stop.get()
        finally:
            close()


def _pass_on(closed: threading.Event, stop: SimpleQueue[None]) -> None:
    closed.wait()
    stop.put(None)


@contextmanager
def _handled(signals: Iterable[signal.Signals], stop: SimpleQueue[None]) -> Iterator[None]:
    """Let these signals say stop while the block lasts; afterwards they are handled as before."""

    def say_stop(number: int, frame: FrameType | None) -> None:
        stop.put(None)

    before: dict[signal.Signals, signal._HANDLER] = {}
    try:
        for number in signals:
            before[number] = _handle(number, say_stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not Python's


def _handle(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> signal._HANDLER:
    try:
        return signal.signal(number, handler)
    except (ValueError, TypeError, OSError) as error:
        if threading.current_thread() is not threading.main_thread():
            hint = "Only the main thread can: call run_forever() there, or give signals=() and stop it with close()."
        else:
            hint = "It takes signals that a program can handle: (signal.SIGTERM, signal.SIGINT)."
        raise BadArgument(f"The signal {number!r:.80} cannot be handled: {error}.", hint=hint, argument="signals") from error
