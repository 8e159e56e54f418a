"""Runs a program in this process as a task run, so that breakpoints, coverage and test doubles reach it.

Changes and restores what that needs: environment variables, `sys.path`, `sys.argv`, import hooks, `wallaroo` and the
program's own modules in `sys.modules`, the current folder. Anything else that a program changes in its process (signal handlers, logging,
`sys.stdout`) stays changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.core.task_context import ARGUMENTS_NAME, FOLDER_VARIABLE, TASK_VARIABLE
from orchlite.sdk import finder

_LISTS = ("path", "argv", "meta_path")


@contextmanager
def inline_task(arguments: Mapping[str, Any] | None = None, *, env: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Make this process look like a task run with these `arguments` and environment variables; restore it when the block ends.

    `import wallaroo` finds orchlite's module, as in a task, even if the SDK is installed. Yields the run's folder, which is removed
    at the end. Changes the whole process, so never use it in two threads at once.

    Raises:
        BadArgument: the arguments are not a JSON object.

    """
    import uuid

    text = _as_json(arguments)
    task_id = str(uuid.uuid4())
    with _run_folder() as folder, _restored():
        (folder / ARGUMENTS_NAME).write_text(text, encoding="utf-8")
        os.environ.update({**(env or {}), TASK_VARIABLE: task_id, "TASK_ID": task_id, FOLDER_VARIABLE: str(folder)})
        finder.prefer()
        yield folder


def run_program(program: str | os.PathLike[str], argv: Sequence[str] = ()) -> dict[str, Any]:
    """Run a Python file as `python program *argv` would, inside `inline_task`; return the names that it has defined.

    Sets `sys.argv`, and puts the program's folder first on `sys.path`. An exit with code 0 is a return.

    Raises:
        SystemExit: the program exited with a code other than 0. Any other exception of the program is raised as it is.
    """
    import runpy

    # Absolute, as Python makes a program's `__file__`, so that it stays right when the program changes the current folder.
    path = os.path.abspath(program)  # noqa: PTH100 - Path.resolve would follow symbolic links
    sys.argv = [path, *argv]
    # As in Python, links are followed here: a linked program imports its neighbours in its real folder.
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        return runpy.run_path(path, run_name="__main__")
    except SystemExit as exit_:
        if exit_.code not in (None, 0):
            raise
        return _names_at_exit(exit_, path)


def _names_at_exit(exit_: SystemExit, path: str) -> dict[str, Any]:
    frames = (frame for frame, _ in walk_tb(exit_.__traceback__))
    return next((dict(frame.f_globals) for frame in frames if frame.f_globals.get("__file__") == path), {})


def _as_json(arguments: Mapping[str, Any] | None) -> str:
    if arguments is not None and not isinstance(arguments, Mapping):
        raise BadArgument(f"Task arguments are a mapping, not {type(arguments).__name__}.", argument="arguments")
    try:
        return json.dumps(dict(arguments or {}), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArgument(f"The task arguments cannot be written as JSON: {error}.", argument="arguments") from error


@contextmanager
def _run_folder() -> Iterator[Path]:
    import shutil
    import tempfile

    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix="orchlite-inline-")
    try:
        yield Path(folder)
    finally:
        # A child that the program has forked gets here when it exits; the folder still belongs to its parent.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _restored() -> Iterator[None]:
    """Restore what the block has changed in this process."""
    with ExitStack() as stack:
        # Restored in reverse order. The current folder is the last, because only that may fail: it may have been removed.
        stack.callback(os.chdir, Path.cwd())
        stack.callback(_restore_environment, dict(os.environ))
        for name in _LISTS:
            stack.callback(_restore_list, name, getattr(sys, name), list(getattr(sys, name)))
        stack.callback(_restore_modules, set(sys.modules), finder.loaded(), set(sys.path))
        stack.callback(_close_stores)
        yield


def _restore_environment(before: Mapping[str, str]) -> None:
    # One by one: if it were cleared first, other threads would see it empty.
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _restore_list(name: str, original: list[Any], content: list[Any]) -> None:
    original[:] = content
    setattr(sys, name, original)


def _restore_modules(before: set[str], wallaroo: Mapping[str, ModuleType], path: set[str]) -> None:
    """Remove the block's `wallaroo`, and the modules from folders that only the block had on its path.

    The next program may have other modules with the same names.
    """
    added = {os.path.realpath(folder) for folder in set(sys.path) - path}
    own = {name for name in sys.modules.keys() - before if "." not in name and _folder_of(sys.modules[name]) in added}
    inside = finder.loaded()
    for name in list(sys.modules):
        if name in inside or (name not in before and name.partition(".")[0] in own):
            del sys.modules[name]
    sys.modules.update(wallaroo)


def _close_stores() -> None:
    """Close the stores that the block's `wallaroo` has opened: nothing can reach them afterwards."""
    opened = sys.modules.get(f"{finder.PACKAGE}._store")
    if opened is not None:
        opened.close()


def _folder_of(module: ModuleType) -> str | None:
    """Return the folder on the path that a top-level module was imported from."""
    names = getattr(module, "__dict__", {})
    places = list(names.get("__path__") or ()) or [names.get("__file__")]
    return os.path.realpath(os.path.dirname(places[0])) if isinstance(places[0], str) else None  # noqa: PTH120
