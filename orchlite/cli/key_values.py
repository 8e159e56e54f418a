"""Read options of the form `NAME=VALUE`: task arguments, environment variables, details of a connection; and files with such values.

Every account of the machine can see a command line, so whatever may be secret can also come from a file or standard input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument


def read_arguments(args: Iterable[str], args_file: str | None) -> dict[str, Any]:
    """Return the arguments of a run: those of the file, updated with those of the command line.

    Raises:
        BadArgument: the file cannot be read or is not a JSON object; a word is neither `K=V` nor `K:=JSON`; or a name is given twice.
    """
    return {**({} if args_file is None else _read_object(args_file, "--args-file")), **_read_pairs(args, "--arg")}


def read_details(pairs: Iterable[str], file: str | None) -> dict[str, Any]:
    """Return the details of a connection: those of the file, updated with those of the command line.

    Raises:
        BadArgument: as `read_arguments` raises.
    """
    return {**({} if file is None else _read_object(file, "--details-file")), **_read_pairs(pairs, "--detail")}


def read_environment(words: Iterable[str], file: str | None) -> dict[str, str]:
    """Return environment variables from words: `NAME=VALUE`, or `NAME` for the value in this process; and from the lines of a file.

    Raises:
        BadArgument: a name without a value is not set in this process, or the file cannot be read.
    """
    found: dict[str, str] = {}
    for word in (*([] if file is None else read_lines(file, "--env-file")), *words):
        name, equals, value = word.partition("=")
        if not equals and name not in os.environ:
            raise BadArgument(
                f"--env {name!r:.80} is not set here.", hint="Write --env NAME=VALUE, or export the variable.", argument="--env"
            )
        found[name] = value if equals else os.environ[name]
    return found


def read_lines(name: str, option: str) -> list[str]:
    """Return the lines of a file, or of standard input for `-`, without empty ones and those that begin with `#`.

    Raises:
        BadArgument: the file cannot be read.
    """
    lines = map(str.strip, _read_text(name, option, "text").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _read_pairs(words: Iterable[str], option: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise BadArgument(
                f"{option} {word!r:.80} is not of the form K=V.", hint="Write K=text, or K:=JSON, such as n:=3.", argument=option
            )
        if name in found:
            raise BadArgument(f"{option} {name!r:.80} is given twice.", hint="Write a list as JSON: k:='[1, 2]'.", argument=option)
        found[name] = _read_json(text, f"{option} {name}") if is_json else text
    return found


def _read_text(name: str, option: str, kind: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadArgument(
            f"{option} {name!r:.200} cannot be read: {why}.", hint=f"Give a {kind} file, or - for standard input.", argument=option
        ) from error


def _read_object(name: str, option: str) -> dict[str, Any]:
    found = _read_json(_read_text(name, option, "JSON"), f"{option} {name}")
    if not isinstance(found, dict):
        raise BadArgument(f"{option} {name!r:.200} is not a JSON object.", hint='It must look like {"name": "value"}.', argument=option)
    return found


def _read_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        option = what.split()[0]
        is_file = option.endswith("-file")
        hint = "It must be one JSON object." if is_file else "A JSON string has quotes: k:='\"text\"'. Or write k=text."
        raise BadArgument(f"{what:.200} is not JSON: {error}.", hint=hint, argument=option) from error
