"""Runs a program in this very process as a task run would see the world, so that breakpoints, coverage and test doubles work.

Owns what has to be changed for that, and puts it back: environment variables, `sys.path`, `sys.argv`, import hooks, `wallaroo` and the
program's own modules among `sys.modules`, the current folder. What else a program changes in its process (signal handlers, logging,
`sys.stdout`) is its own business.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.core.files import remove_tree
from orchlite.core.task_context import ARGUMENTS_NAME, FOLDER_VARIABLE, TASK_VARIABLE
from orchlite.sdk import finder

_LISTS = ("path", "argv", "meta_path")


@contextmanager
def inline_task(arguments: Mapping[str, Any] | None = None, *, env: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Make this process look like a task run with these `arguments`, until the block ends, however it ends.

    `import wallaroo` finds orchlite's module, even where the SDK is installed, as in a task. `env` is added to the environment. Yields
    the run's folder, which is removed at the end. The whole process is changed: not for use in two threads at once.

    Raises:
        BadArgument: the arguments are no JSON object.

    """
    import uuid

    text = _as_json(arguments)
    task_id = str(uuid.uuid4())
    with _run_folder() as folder, _put_back():
        (folder / ARGUMENTS_NAME).write_text(text, encoding="utf-8")
        os.environ.update({**(env or {}), TASK_VARIABLE: task_id, "TASK_ID": task_id, FOLDER_VARIABLE: str(folder)})
        finder.prefer()
        yield folder


def run_program(program: str | os.PathLike[str], argv: Sequence[str] = ()) -> dict[str, Any]:
    """Run a Python file as `python program *argv` would, and return the names that it defined.

    Sets `sys.argv` and puts the program's folder first on `sys.path`; `inline_task` puts them back. What the program raises,
    SystemExit included, comes out as it is.
    """
    import runpy

    # Absolute, as Python makes a program's `__file__`: it stays right when the program changes the folder.
    path = os.path.abspath(program)  # noqa: PTH100 - Path.resolve would follow symbolic links
    sys.argv = [path, *argv]
    # Here links are followed: a linked program imports what lies beside its real file.
    sys.path.insert(0, str(Path(path).resolve().parent))
    return runpy.run_path(path, run_name="__main__")


def _as_json(arguments: Mapping[str, Any] | None) -> str:
    if arguments is not None and not isinstance(arguments, Mapping):
        raise BadArgument(f"Task arguments are a mapping, not {type(arguments).__name__}.", argument="arguments")
    try:
        return json.dumps(dict(arguments or {}), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArgument(f"The task arguments cannot be written as JSON: {error}.", argument="arguments") from error


@contextmanager
def _run_folder() -> Iterator[Path]:
    import tempfile

    owner = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="orchlite-inline-"))
    try:
        yield folder
    finally:
        # A child that the program forked comes by here when it ends; the folder is still its parent's.
        if os.getpid() == owner:
            remove_tree(folder)


@contextmanager
def _put_back() -> Iterator[None]:
    """Restore at the end what the block changed in this process."""
    with ExitStack() as stack:
        # The reverse of this order is the order of restoring; the folder comes first here since it alone may fail: it may be gone.
        stack.callback(os.chdir, Path.cwd())
        stack.callback(_put_back_environment, dict(os.environ))
        for name in _LISTS:
            stack.callback(_put_back_list, name, getattr(sys, name), list(getattr(sys, name)))
        stack.callback(_put_back_modules, set(sys.modules), finder.loaded(), set(sys.path))
        stack.callback(_let_go_of_stores)
        yield


def _put_back_environment(before: Mapping[str, str]) -> None:
    # Key by key: emptied and filled again, it would be seen empty by other threads.
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _put_back_list(name: str, original: list[Any], content: list[Any]) -> None:
    original[:] = content
    setattr(sys, name, original)


def _put_back_modules(before: set[str], wallaroo: Mapping[str, ModuleType], path: set[str]) -> None:
    """Forget the block's `wallaroo`, and what came from folders that only the block had on its path.

    The next program may bring other modules of the same names.
    """
    added = {os.path.realpath(folder) for folder in set(sys.path) - path}
    own = {name for name in sys.modules.keys() - before if "." not in name and _home(sys.modules[name]) in added}
    inside = finder.loaded()
    for name in list(sys.modules):
        if name in inside or (name not in before and name.partition(".")[0] in own):
            del sys.modules[name]
    sys.modules.update(wallaroo)


def _let_go_of_stores() -> None:
    """Close what the block's `wallaroo` has opened, which nobody can reach afterwards."""
    opened = sys.modules.get(f"{finder.PACKAGE}._store")
    if opened is not None:
        opened.close()


def _home(module: ModuleType) -> str | None:
    """Find the folder on the path that a top-level module came from."""
    names = getattr(module, "__dict__", {})
    places = list(names.get("__path__") or ()) or [names.get("__file__")]
    return os.path.realpath(os.path.dirname(places[0])) if isinstance(places[0], str) else None  # noqa: PTH120
