"""Whether this process is a task run, and the arguments of its task.

Copied into every environment and imported by user programs at their start, so it uses the standard library only, and imports nothing
heavy before it is needed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # type checkers assume True for this name; importing it from `typing` would double the import's cost
if TYPE_CHECKING:
    from typing import Any, NoReturn

TASK_VARIABLE = "WALLAROO_TASK_ID"
"""Environment variable: the task's id. Its presence makes a process a task run, as on the platform."""

FOLDER_VARIABLE = "ORCHLITE_RUN_FOLDER"
"""Environment variable: the absolute path of the folder that holds the run's `arguments.json`."""

STORE_VARIABLE = "ORCHLITE_STORE"
"""Environment variable: the absolute path of the store that has the run."""

RUN_VARIABLE = "ORCHLITE_RUN_TOKEN"
"""Environment variable: the run's id. Processes that the program starts inherit it, and are found by it."""

HOST_LIBRARIES_VARIABLE = "ORCHLITE_HOST_LIBRARIES"
"""Environment variable: the folders of the hosting interpreter in which inference finds packages that the environment does not have."""

ARGUMENTS_NAME = "arguments.json"


def in_task() -> bool:
    """Return whether this process is a task run."""
    return TASK_VARIABLE in os.environ


def own_run(store: str) -> str | None:
    """Return the id of the run that this process is, if it is a run of the store at this absolute path; else None."""
    own = os.environ.get(STORE_VARIABLE)
    return os.environ.get(RUN_VARIABLE) if in_task() and own and _is_same(own, store) else None


def task_args() -> dict[str, Any]:
    """Return the arguments of this run's task, a new dictionary at each call; `{}` if it has none.

    Raises:
        NotInTask: this process is not a task run, or its arguments are gone; also a `FileNotFoundError`.

    """
    if not in_task():
        _refuse("This process is not a task run, so it has no task arguments.")
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        _refuse(f"{TASK_VARIABLE} is set, but {FOLDER_VARIABLE} is not: this task run was not started by orchlite.")
    return _read(folder)


def _is_same(folder: str, other: str) -> bool:
    try:
        return folder == other or os.path.samefile(folder, other)  # noqa: PTH121 - importing pathlib costs more than all the rest
    except OSError:
        return False


def _read(folder: str) -> dict[str, Any]:
    import json

    path = os.path.join(folder, ARGUMENTS_NAME)  # noqa: PTH118 - importing pathlib costs more than all the rest
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            arguments: dict[str, Any] = json.load(file)
    except FileNotFoundError as error:
        _refuse(f"The task arguments are not at {path!r}, where {FOLDER_VARIABLE} points.", error)
    return arguments


def _refuse(message: str, cause: Exception | None = None) -> NoReturn:
    from orchlite.core.errors import NotInTask

    hint = "Run the program as a task, or with `python -m orchlite.sdk main.py --args-file arguments.json`."
    raise NotInTask(message, hint=hint) from cause
