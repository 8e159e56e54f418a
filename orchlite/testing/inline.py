"""Runs an orchestration's program inside the test's own process, where breakpoints, coverage and replaced modules reach it.

Owns the run's working folder and the store that it sees. `sdk/inline.py` makes the process look like a task run, runs the program, and
restores the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchlite.bundles import bundle, packing
from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument
from orchlite.core.settings import Limits
from orchlite.core.task_context import STORE_VARIABLE
from orchlite.sdk.inline import inline_task, run_program
from orchlite.testing.bundle_files import PathOrFiles, as_path

if TYPE_CHECKING:
    from orchlite.client.client import Client

_MAIN = "main.py"


def run_inline(
    path_or_files: PathOrFiles,
    json_args: Mapping[str, Any] | None = None,
    *,
    argv: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    work: str | os.PathLike[str] | None = None,
    client: Client | None = None,
) -> dict[str, Any]:
    """Run an orchestration's `main.py` in this process, as a task run; return the names that it has defined.

    Breakpoints, coverage, `monkeypatch`, and modules that a test has put into `sys.modules` reach the program. Its requirements are not
    installed. `import wallaroo` finds orchlite's module, with the store of `client`, or with an empty store. Blocks until the program has
    ended; then environment variables, `sys.path`, `sys.argv`, imported modules and the current folder are restored. Changes the whole
    process, so never call it in two threads at once.

    path_or_files: a folder with a `main.py`, the path of a program, or the content of the files by name: `{"main.py": "print(1)"}`.
    json_args: what `task_args()` returns in the program.
    argv: the program's `sys.argv`, without its first item.
    env: environment variables to add.
    work: the program's current folder, new or empty; it gets a copy of the bundle, and stays. By default a temporary folder.

    Raises:
        BadArgument: an argument is refused; nothing was run.
        BadBundle: the program's folder cannot be packed as a bundle; nothing was run.
        SystemExit: the program exited with a code other than 0. Any other exception of the program is raised as it is.
    """
    with as_path(path_or_files) as path:
        program = _program(path)
        with inline_task(json_args, env=env) as folder:
            if STORE_VARIABLE not in (env or {}):
                os.environ[STORE_VARIABLE] = str(folder / "store" if client is None else client.path())
            os.chdir(_copied(program.parent, folder, folder / "work" if work is None else checked_path(work, "work")))
            return run_program(program, argv)


def _program(path: Path) -> Path:
    program = path / _MAIN if path.is_dir() else path
    if program.suffix != ".py" or not program.is_file():
        hint = f"Pass a folder with {_MAIN}, or a .py file; a ZIP can only be run in a process of its own."
        raise BadArgument(f"There is no program {str(program)!r:.300}.", hint=hint, argument="path_or_files")
    return program


def _copied(source: Path, folder: Path, work: Path) -> Path:
    """Copy what would be uploaded of `source` into `work`: the program runs there, and what it writes leaves its source alone."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(work.iterdir()):
        raise BadArgument(f"The folder {str(work)!r:.300} is not empty.", hint="Pass a new one.", argument="work")
    packed = folder / "bundle.zip"
    packed.write_bytes(packing.pack(source, limits=Limits()).content)
    bundle.unpack(packed, work)
    return work
