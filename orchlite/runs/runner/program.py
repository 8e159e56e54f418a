"""Start a run's program, with pipes for its output."""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import limits, processes
from .ownership import place

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from typing import Any


class Program:
    """A program that was started. Whoever reads its output closes both descriptors."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr


def start(spec: dict[str, Any], inherited: Mapping[int, int] | None = None, variables: Mapping[str, str] | None = None) -> Program:
    """Start the program of the spec.

    inherited: descriptors that it has in addition to 0, 1 and 2: by its number, this process's.
    variables: added to those of the spec.

    Raises:
        OSError: it cannot be executed, or its working folder does not exist.
    """
    env = {**spec["env"], "ORCHLITE_RUN_PLACE": place(spec["folder"]), **(variables or {})}
    out_read, out_write = os.pipe()
    error_read, error_write = os.pipe()
    try:
        with limits.lowered(spec):
            pid = processes.start(spec["command"], env, spec["working_folder"], {1: out_write, 2: error_write, **(inherited or {})})
    except BaseException:
        os.close(out_read)
        os.close(error_read)
        raise
    finally:
        os.close(out_write)
        os.close(error_write)
    os.set_blocking(out_read, False)
    os.set_blocking(error_read, False)
    return Program(pid, out_read, error_read)
