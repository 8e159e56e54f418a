"""Waiting for the last try of a run, and printing what it writes meanwhile."""

from __future__ import annotations

import sys
from typing import TextIO

from orchlite.client.orchestration import Orchestration
from orchlite.client.task_run import TaskRun
from orchlite.core.status import FAILED


def print_packaging(orchestration: Orchestration) -> None:
    """Print the installer's output to standard error until the orchestration is packaged. Do nothing if it has no requirements."""
    if orchestration.requirements() and orchestration.status() != "ready":
        for line in orchestration.task().last_runs()[0].logs(follow=True):
            _print(line.text, sys.stderr)


def last_try(run: TaskRun, *, follow: bool, survives: bool) -> TaskRun:
    """Block until the run, and each that tries it again, has ended; return the last one. With `follow`, print what they write.

    survives: whether the run continues after an interrupt, so that it is named.
    """
    try:
        while True:
            for line in run.logs(follow=True) if follow else ():
                _print(line.text, sys.stderr if line.stream == "stderr" else sys.stdout)
            following = run.next_try() if run.wait().status() in FAILED else None
            if following is None:
                return run
            run = following
    except KeyboardInterrupt:
        if survives:
            print(f"orchlite: the run continues; get_task_run_by_id({run.id()!r}).kill() ends it.", file=sys.stderr)
        raise


def _print(text: str, stream: TextIO) -> None:
    """Print a line, with escapes for the characters that the stream's encoding lacks."""
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError as error:
        print(text.encode(error.encoding, "backslashreplace").decode(error.encoding), file=stream, flush=True)
