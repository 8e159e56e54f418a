"""What programs are given, as options say it: arguments, environment variables, the details of a connection. Nothing is stored here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument


def read_arguments(args: Iterable[str], args_file: str | None) -> dict[str, Any]:
    """The arguments of a run: those of the file, and over them those of the command line.

    Raises:
        BadArgument: the file is no JSON object, or a word is neither `K=V` nor `K:=JSON`.
    """
    return {**({} if args_file is None else _read_object(args_file, "--args-file")), **_read_pairs(args, "--arg")}


def read_details(pairs: Iterable[str], file: str | None) -> dict[str, Any]:
    """The details of a connection: those of the file, and over them those of the command line.

    Raises:
        BadArgument: as for `read_arguments`.
    """
    return {**({} if file is None else _read_object(file, "--details-file")), **_read_pairs(pairs, "--detail")}


def read_environment(words: Iterable[str]) -> dict[str, str]:
    """Environment variables: `NAME=VALUE`, or `NAME` for this process's own value.

    Raises:
        BadArgument: a name alone is not set here.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals and name not in os.environ:
            raise BadArgument(f"--env {name!r:.80} is not set here.", hint="Write --env NAME=VALUE, or export it first.", argument="--env")
        found[name] = value if equals else os.environ[name]
    return found


def _read_pairs(words: Iterable[str], option: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise BadArgument(f"{option} {word!r:.80} is no K=V.", hint="Write K=text, or K:=JSON: n:=3.", argument=option)
        if name in found:
            raise BadArgument(f"{option} {name!r:.80} is given twice.", hint="Give a list as JSON: k:='[1, 2]'.", argument=option)
        found[name] = _read_json(text, f"{option} {name}") if is_json else text
    return found


def _read_object(name: str, option: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadArgument(f"{option} {name!r:.200} cannot be read: {why}.", hint="Give a file of JSON.", argument=option) from error
    found = _read_json(text, f"{option} {name}")
    if not isinstance(found, dict):
        raise BadArgument(f"{option} {name!r:.200} holds no JSON object.", hint='It takes {"name": "value"}.', argument=option)
    return found


def _read_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        option = what.split()[0]
        is_file = option.endswith("-file")
        hint = "It takes one JSON object." if is_file else "A text needs its quotes: k:='\"text\"'; or write k=text."
        raise BadArgument(f"{what:.200} is no JSON: {error}.", hint=hint, argument=option) from error
