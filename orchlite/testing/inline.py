"""A run of an orchestration's program inside the test's own process, where breakpoints, coverage and replaced modules reach it.

Owns where such a run works and which store it sees; what is changed in the process, and put back, is `sdk/inline.py`'s concern.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

from orchlite.bundles import bundle, packing
from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument
from orchlite.core.settings import Limits
from orchlite.core.task_context import STORE_VARIABLE
from orchlite.sdk.inline import inline_task, run_program
from orchlite.testing.bundle_files import Given, as_path

_MAIN = "main.py"


def run(
    path_or_files: Given,
    json_args: Mapping[str, Any] | None,
    *,
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    work: str | os.PathLike[str] | None,
    store: Path | None,
) -> dict[str, Any]:
    """Run the program; see `testing.run_inline`. Its `wallaroo` sees this store, or one of its own that is gone afterwards."""
    with as_path(path_or_files) as path:
        program = _program(path)
        with inline_task(json_args, env=env) as folder:
            if STORE_VARIABLE not in (env or {}):
                os.environ[STORE_VARIABLE] = str(store or folder / "store")
            os.chdir(_copy(program.parent, folder, folder / "work" if work is None else checked_path(work, "work")))
            return _run(program, argv)


def _program(path: Path) -> Path:
    program = path / _MAIN if path.is_dir() else path
    if program.suffix != ".py" or not program.is_file():
        hint = f"Give a folder with {_MAIN}, or a .py file; a ZIP can only be run in a process of its own."
        raise BadArgument(f"There is no program {str(program)!r:.300}.", hint=hint, argument="path_or_files")
    return program


def _copy(source: Path, folder: Path, work: Path) -> Path:
    """Copy what would be uploaded, as a run has it: what the program writes there leaves its source alone."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(work.iterdir()):
        raise BadArgument(f"The folder {str(work)!r:.300} is not empty.", hint="Give a new one.", argument="work")
    packed = folder / "bundle.zip"
    packed.write_bytes(packing.pack(source, limits=Limits()).content)
    bundle.unpack(packed, work)
    return work


def _run(program: Path, argv: Sequence[str]) -> dict[str, Any]:
    """The names that the program has defined when it ends well; `sys.exit()` is an end like any other."""
    try:
        return run_program(program, argv)
    except SystemExit as exit_:
        if exit_.code not in (None, 0):
            raise
        return _names_at_exit(exit_, str(program))


def _names_at_exit(exit_: SystemExit, program: str) -> dict[str, Any]:
    frames = (frame for frame, _ in walk_tb(exit_.__traceback__))
    return next((dict(frame.f_globals) for frame in frames if frame.f_globals.get("__file__") == program), {})
