"""Checks arguments of callers: names, times, task arguments, environment variables, paths. Pure; each error names its argument."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.core.durations import plain_seconds
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.settings import Limits
from orchlite.core.sizes import over_text

_NAME_CHARACTERS = 256
_DAY_SECONDS = 86_400
_TIMEOUT_SECONDS = (1, 366 * _DAY_SECONDS)
_ARGUMENTS_DEPTH = 100
_MAX_COUNT = 2**63 - 1
"""The largest integer that SQLite stores."""
_WORKSPACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_LENIENT_WORKSPACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def checked_name(name: object, argument: str = "name") -> str | None:
    """Return a label: None, or 1 to 256 printable characters that are not all blank.

    Raises:
        BadArgument: `name` is something else.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise _wrong_type(argument, "a string", name)
    if not name.strip() or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise BadArgument(
            Argument(argument) + f" has {len(name)} characters: {name[:40]!r}.",
            hint=f"It takes 1 to {_NAME_CHARACTERS} printable characters.",
            argument=argument,
            limit=_NAME_CHARACTERS,
        )
    return name


def checked_label(label: object, argument: str) -> str:
    """Return a label, which must not be None; see `checked_name`.

    Raises:
        BadArgument: `label` is something else.
    """
    checked = checked_name(label, argument)
    if checked is None:
        raise _wrong_type(argument, "a string", label)
    return checked


def checked_workspace_name(name: object, *, underscores: bool = False) -> str:
    """Return a workspace's name. The platform's rule: a letter, then letters, digits and dashes, 63 characters at most.

    underscores: allow these, too, as the platform does in the call that finds or creates a workspace.

    Raises:
        BadArgument: `name` is something else.
    """
    if not isinstance(name, str):
        raise _wrong_type("name", "a string", name)
    if not (_LENIENT_WORKSPACE_NAME if underscores else _WORKSPACE_NAME).fullmatch(name):
        raise BadArgument(
            f"{name[:80]!r} is not a valid name for a workspace.",
            hint="It takes a letter, then letters, digits and dashes, 63 characters at most.",
            argument="name",
        )
    return name


def checked_timeout(timeout: object, argument: str = "timeout") -> float | None:
    """Return a time limit in seconds, from a `Duration` of 1 s to 366 days, or None.

    Raises:
        BadArgument: `timeout` is something else.
    """
    if timeout is None:
        return None
    seconds = _number(timeout, argument)
    low, high = _TIMEOUT_SECONDS
    if not low <= seconds <= high:
        raise BadArgument(
            Argument(argument) + f" is {seconds:g}.",
            hint=f"It takes {low} to {high} seconds (366 days); leave it out for no limit.",
            argument=argument,
        )
    return seconds


def checked_seconds(value: object, argument: str, most_seconds: float = math.inf) -> float:
    """Return the seconds of a `Duration` from 0 to `most_seconds`.

    Raises:
        BadArgument: `value` is something else.
    """
    seconds = _number(value, argument)
    if seconds < 0:
        raise BadArgument(Argument(argument) + f" is {value!r}.", hint="It takes 0 seconds or more.", argument=argument)
    if seconds > most_seconds:
        hint = f"It takes {most_seconds:g} seconds ({most_seconds / _DAY_SECONDS:g} days) at most."
        raise BadArgument(Argument(argument) + f" is {seconds:g} seconds.", hint=hint, argument=argument)
    return seconds


def checked_count(value: object, argument: str, least: int, most: int = _MAX_COUNT) -> int:
    """Return an integer from `least` to `most`, by default the largest that the store can hold.

    Raises:
        BadArgument: `value` is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(argument, "an integer", value)
    if not least <= value <= most:
        how, limit = ("less than", least) if value < least else ("more than", most)
        takes = f"{least} or more" if most == _MAX_COUNT and value < least else f"{least} to {most}"
        raise BadArgument(Argument(argument) + f" is {how} {limit}.", hint=f"It takes {takes}.", argument=argument, limit=limit)
    return value


def checked_moment(value: object, argument: str) -> datetime:
    """Return an aware datetime.

    Raises:
        BadArgument: `value` is something else, or has no time zone.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadArgument(
            Argument(argument) + f" is {value!r:.80}.",
            hint="It takes an aware datetime" + PythonOnly(": datetime.now(UTC)") + ".",
            argument=argument,
        )
    return value


def checked_flag(value: object, argument: str) -> bool:
    """Return True or False.

    Raises:
        BadArgument: `value` is something else.
    """
    if not isinstance(value, bool):
        raise _wrong_type(argument, "True or False", value)
    return value


def checked_id(value: object, argument: str) -> str:
    """Return an id: a printable string of 256 characters at most. Whether it exists is for the store to say.

    Raises:
        BadArgument: `value` is something else.
    """
    if not isinstance(value, str):
        raise _wrong_type(argument, "an id (a string)", value)
    if len(value) > _NAME_CHARACTERS or not value.isprintable():
        raise BadArgument(
            Argument(argument) + f" is not an id: {value[:40]!r}.", hint="Ids are UUIDs" + PythonOnly(": see id()") + ".", argument=argument
        )
    return value


def checked_texts(values: object, argument: str) -> tuple[str, ...]:
    """Return strings without NUL, none of them empty.

    Raises:
        BadArgument: `values` is something else, for instance a single string.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise _wrong_type(argument, "a list of strings", values)
    found = tuple(values)
    for value in found:
        if not isinstance(value, str) or not value or "\0" in value:
            raise BadArgument(
                Argument(argument) + f" has {value!r:.80}.", hint="It takes a list of strings, none of them empty.", argument=argument
            )
    return found


def checked_limits(limits: object) -> Limits:
    """Return `Limits` whose fields are integers from 0 on.

    Raises:
        BadArgument: `limits` is something else.
    """
    if not isinstance(limits, Limits):
        raise _wrong_type("limits", "a Limits", limits)
    for name, value in limits._asdict().items():
        checked_count(value, f"limits.{name}", 0)
    return limits


def encoded_arguments(arguments: object, limit_bytes: int) -> str:
    """Return task arguments as JSON of one object; None becomes `{}`.

    Raises:
        BadArgument: they are not a mapping, not JSON, larger than `limit_bytes`, or nested deeper than 100 levels.
    """
    return _encoded_object(arguments, limit_bytes, "json_args", "Put large data into the bundle, or pass the path of a file.")


def encoded_details(details: object, limit_bytes: int) -> str:
    """Return a connection's details as JSON of one object; None becomes `{}`. No error shows any part of them.

    Raises:
        BadArgument: they are not a mapping, not JSON, larger than `limit_bytes`, or nested deeper than 100 levels.
    """
    return _encoded_object(details, limit_bytes, "details", "Put large data into a file, and its path into the details.")


def checked_object(value: object, argument: str, limit_bytes: int) -> dict[str, Any]:
    """Return a copy of a JSON object; None becomes `{}`.

    Raises:
        BadArgument: it is not a mapping, not JSON, larger than `limit_bytes`, or nested deeper than 100 levels.
    """
    found: dict[str, Any] = json.loads(_encoded_object(value, limit_bytes, argument, "Pass less."))
    return found


def checked_choice(value: object, argument: str, known: Sequence[str]) -> str:
    """Return one of the words in `known`.

    Raises:
        BadArgument: `value` is something else.
    """
    if not isinstance(value, str) or value not in known:
        raise BadArgument(Argument(argument) + f" is {value!r:.80}.", hint=f"It takes one of: {', '.join(known)}.", argument=argument)
    return value


def checked_command(value: object, argument: str) -> tuple[str, ...] | None:
    """Return a program and its arguments, or None.

    Raises:
        BadArgument: `value` is something else.
    """
    if value is None:
        return None
    command = checked_texts(value, argument)
    if not command or not command[0] or any("\0" in word for word in command):
        raise BadArgument(
            Argument(argument) + f" is {value!r:.80}.", hint='It takes a program and its arguments: ["notify", "me"].', argument=argument
        )
    return command


def checked_env(env: object) -> dict[str, str]:
    """Return a copy of environment variables; None becomes `{}`. Surrogate escapes stand for bytes that are not UTF-8.

    Raises:
        BadArgument: a name or a value cannot be passed to a process.
    """
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise _wrong_type("env", "a dictionary of strings", env)
    for name, value in env.items():
        _check_variable_name(name, "env")
        if not isinstance(value, str) or not _can_be_passed(value):
            raise BadArgument(
                Argument("env") + f"[{name!r}] cannot be passed to a process.",
                hint="Values are strings without NUL" + PythonOnly(": str(value)") + ".",
                argument="env",
            )
    return dict(env)


def checked_env_names(names: object) -> tuple[str, ...]:
    """Return names of environment variables.

    Raises:
        BadArgument: `names` is something else, for instance a single string.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise _wrong_type("env_passthrough", "a list of names", names)
    found = tuple(names)
    for name in found:
        _check_variable_name(name, "env_passthrough")
    return found


def checked_path(given: object, argument: str = "path") -> Path:
    """Return a path made absolute, with `~` expanded. Nothing on disk is read.

    Raises:
        BadArgument: `given` is not a path.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    try:
        if not isinstance(text, str) or not text or b"\0" in os.fsencode(text):
            raise ValueError("no path")
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError) as error:  # RuntimeError: `~name` has no home folder
        raise BadArgument(Argument(argument) + f" is {given!r:.80}.", hint="It takes a path.", argument=argument) from error


def _check_variable_name(name: Any, argument: str) -> None:
    if not isinstance(name, str) or not name or "=" in name or not _can_be_passed(name):
        raise BadArgument(
            Argument(argument) + f" has {name!r}, which is not a name of a variable.",
            hint="Names contain neither = nor NUL.",
            argument=argument,
        )


def _can_be_passed(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _encoded_object(value: object, limit_bytes: int, argument: str, hint_if_too_large: str) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, Mapping):
        raise _wrong_type(argument, "a dictionary", value)
    _check_depth(value, argument)
    text = _json(value, argument)
    size_bytes = len(text.encode())
    if size_bytes > limit_bytes:
        raise BadArgument(
            Argument(argument) + f" as JSON has {over_text(size_bytes, limit_bytes)}.",
            hint=hint_if_too_large,
            argument=argument,
            limit_bytes=limit_bytes,
        )
    return text


def _json(value: Mapping[str, Any], argument: str) -> str:
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    else:
        return text
    # Outside the handler: Python's error holds the whole value, and would become the context of this one.
    raise BadArgument(
        Argument(argument) + f" is not JSON: {problem}.",
        hint="It takes dictionaries with strings as keys, lists, strings, finite numbers, True, False and None.",
        argument=argument,
    )


def _check_depth(value: Any, argument: str) -> None:
    level: list[Any] = [value]
    for _ in range(_ARGUMENTS_DEPTH):
        level = [child for value in level for child in _children(value, argument)]
        if not level:
            return
    raise BadArgument(
        Argument(argument) + f" is nested deeper than {_ARGUMENTS_DEPTH} levels.",
        hint="Pass less, or put the data into a file.",
        argument=argument,
        limit=_ARGUMENTS_DEPTH,
    )


def _children(value: Any, argument: str) -> Iterable[Any]:
    if isinstance(value, Mapping):
        # json.dumps would turn the key 1 into "1".
        if not all(isinstance(key, str) for key in value):
            raise BadArgument(
                Argument(argument) + " has a key that is not a string.",
                hint="Convert it" + PythonOnly(": str(key)") + ".",
                argument=argument,
            )
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _number(value: object, argument: str) -> float:
    """Return the seconds of a `Duration`, finite."""
    value = plain_seconds(value, argument)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(argument, 'a number of seconds, or a text such as "5m"', value)
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadArgument(Argument(argument) + f" is {seconds}.", hint="It takes a finite number of seconds.", argument=argument)
    return seconds


def _wrong_type(argument: str, wanted: str, value: object) -> BadArgument:
    return BadArgument(Argument(argument) + f" is of type {type(value).__name__}.", hint="It takes " + wanted + ".", argument=argument)
