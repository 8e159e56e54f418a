"""`python -m orchlite.sdk main.py [--args-file F] [args…]`: run a program in this process as a task run, for debugging."""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from orchlite.core.errors import BadArgument
from orchlite.sdk.inline import inline_task, run_program

USAGE = "usage: python -m orchlite.sdk [--args-file F] main.py [--args-file F] [args ...]"

HELP = f"""{USAGE}

Run main.py in this process as a task run: with orchlite's `wallaroo` module, and wallaroo.in_task() is True.

  --args-file F   a file with a JSON object, which wallaroo.task_args() returns; {{}} by default.
                  Must come right before or right after main.py; all other arguments go to main.py.
"""


def main(command_line: Sequence[str]) -> None:
    """Run the program that the command line names.

    Raises:
        SystemExit: with code 2, the command line is wrong. Any exception of the program is raised as it is.
    """
    args_file, rest = _take_args_file(list(command_line))
    if rest[:1] in (["-h"], ["--help"]):
        sys.stdout.write(HELP)
        return
    if not rest or rest[0].startswith("-"):
        _fail(f"{USAGE}\n{_complaint(rest)}")
    program = rest.pop(0)
    if not Path(program).is_file():
        _fail(f"can't open file {program!r}: there is no such file.")
    if args_file is None:
        args_file, rest = _take_args_file(rest)
    _run(program, rest, {} if args_file is None else _read_arguments(args_file))


def _run(program: str, argv: Sequence[str], arguments: Mapping[str, Any]) -> None:
    task = ExitStack()
    # Closed by atexit, not here: the program's threads and its own exit functions run later, and still belong to the run.
    atexit.register(task.close)
    try:
        task.enter_context(inline_task(arguments))
    except BadArgument as error:
        _fail(str(error))
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, which `python -m` adds and `python main.py` does not
    run_program(program, argv)


def _take_args_file(words: list[str]) -> tuple[str | None, list[str]]:
    """Split off a leading `--args-file F` or `--args-file=F`."""
    if not words or words[0].partition("=")[0] != "--args-file":
        return None, words
    if "=" in words[0]:
        return words[0].partition("=")[2], words[1:]
    if len(words) == 1:
        _fail(f"{USAGE}\n--args-file needs the name of a file.")
    return words[1], words[2:]


def _read_arguments(name: str) -> dict[str, Any]:
    try:
        arguments = json.loads(Path(name).read_bytes())
    except OSError as error:
        _fail(f"the arguments file {name!r} cannot be read: {error.strerror}.")
    except (ValueError, RecursionError) as error:
        _fail(f"the arguments file {name!r} is not valid JSON: {error}.")
    if not isinstance(arguments, dict):
        _fail(f'the arguments file {name!r} must contain a JSON object, such as {{"name": "value"}}, not {type(arguments).__name__}.')
    return arguments


def _complaint(rest: Sequence[str]) -> str:
    return f"unknown option {rest[0]!r}; put the program's own options after its name." if rest else "the program to run is missing."


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"orchlite.sdk: {message}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
