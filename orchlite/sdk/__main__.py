"""`python -m orchlite.sdk main.py [--args-file F] [args…]`: runs a program in this process as a task run would, for debugging."""

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

Runs main.py in this process with orchlite's `wallaroo` module, as a task run: wallaroo.in_task() is True.

  --args-file F   a file with a JSON object: what wallaroo.task_args() returns; {{}} without it.
                  Stands right before or right after main.py; all that follows goes to main.py.
"""


def main(command_line: Sequence[str]) -> None:
    """Run the program that the command line names; what it raises comes out as it is."""
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
    surroundings = ExitStack()
    # Taken down by atexit and not after the program: its threads and its own exit functions still belong to the run, and end before.
    atexit.register(surroundings.close)
    try:
        surroundings.enter_context(inline_task(arguments))
    except BadArgument as error:
        _fail(str(error))
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, which `python -m` puts there and `python main.py` does not
    run_program(program, argv)


def _take_args_file(words: list[str]) -> tuple[str | None, list[str]]:
    """Split a leading `--args-file F` or `--args-file=F` off."""
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
        _fail(f"the arguments file {name!r} is no JSON: {error}.")
    if not isinstance(arguments, dict):
        _fail(f'the arguments file {name!r} must hold a JSON object, like {{"name": "value"}}, and not {type(arguments).__name__}.')
    return arguments


def _complaint(rest: Sequence[str]) -> str:
    return f"unknown option {rest[0]!r}; options of the program stand after it." if rest else "a program to run is missing."


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"orchlite.sdk: {message}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
