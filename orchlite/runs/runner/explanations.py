"""Explain in one line those ends of a program that the last lines of its log do not explain to everyone."""

from __future__ import annotations

import re
import signal

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
_NO_INPUT = re.compile(rb"(?:.*\n)?EOFError: EOF when reading a line|.*, in _raw_input\n.*\nEOFError", re.DOTALL)
"""The last line of `input()`, and the traceback of `getpass()`. A bare EOFError also comes from the end of a pipe of multiprocessing."""


def reason(ended_by: int | None, last_error: bytes) -> str | None:
    """Return why a program that was not stopped failed: it asked for input, or its native code crashed; None if it was neither.

    ended_by: the number of the signal, if one ended it.
    last_error: the end of what it wrote to standard error.
    """
    if ended_by in _CRASHES:
        name = signal.Signals(ended_by).name
        return (
            f"{name} ended it: compiled code crashed, mostly a package's; with PYTHONFAULTHANDLER=1 in its environment the log shows where"
        )
    if _NO_INPUT.fullmatch(last_error.rstrip()):
        return "it asked for input, and a run has none: read an argument instead, from task_args()"
    return None
