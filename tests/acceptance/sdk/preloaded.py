"""Import the real SDK once, then run each program that standard input names in a forked child: the import takes four seconds.

A line of standard input is a request of `conftest.Sdk`; a line of standard output is the exit code of its program.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

_SECONDS = 400


def requested() -> dict[str, Any]:
    """Return the request of this child. In the parent, answer requests until there are none."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            request: dict[str, Any] = json.loads(line)
            return request
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def settle(request: dict[str, Any]) -> None:
    """Give this process the folder, the variables and the outputs of the request."""
    signal.alarm(_SECONDS)
    os.environ.clear()
    os.environ.update(request["variables"])
    os.chdir(request["folder"])
    for descriptor, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        os.dup2(os.open(path, os.O_RDWR), descriptor)


def execute(option: str, program: str, *arguments: str) -> None:
    """Do what `python OPTION PROGRAM ARGUMENTS` does; modules are those of this folder, and the option of a file is empty."""
    sys.argv = [program, *arguments]
    if option == "-m":
        runpy.run_module(f"{__package__}.{program}", run_name="__main__")
        return
    sys.path[0] = str(Path.cwd())
    if option == "-c":
        exec(program, {"__name__": "__main__"})
    else:
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    import wallaroo  # noqa: F401

    request = requested()
    settle(request)
    execute(*request["command"])
