"""What a call may be given: names, times, task arguments, environment variables. Pure checks; each refusal names its argument."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.settings import Limits

_NAME_CHARACTERS = 256
_DAY_SECONDS = 86_400
_TIMEOUT_SECONDS = (1, 366 * _DAY_SECONDS)
_ARGUMENTS_DEPTH = 100
_COUNT = 2**63 - 1
"""The largest whole number that the store can hold."""
_WORKSPACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_LENIENT_WORKSPACE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def checked_name(name: object, argument: str = "name") -> str | None:
    """A label: any text of 1 to 256 printable characters, or None.

    Raises:
        BadArgument: it is something else.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise _wrong_type(argument, "a text", name)
    if not name.strip() or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise BadArgument(
            Argument(argument) + f" has {len(name)} characters: {name[:40]!r}.",
            hint=f"It takes 1 to {_NAME_CHARACTERS} printable characters.",
            argument=argument,
            limit=_NAME_CHARACTERS,
        )
    return name


def checked_label(label: object, argument: str) -> str:
    """A label that must be there; see `checked_name`.

    Raises:
        BadArgument: it is something else.
    """
    checked = checked_name(label, argument)
    if checked is None:
        raise _wrong_type(argument, "a text", label)
    return checked


def checked_workspace_name(name: object, *, underscores: bool = False) -> str:
    """A workspace's name, by the platform's rule: a letter first, then letters, digits and dashes, under 64 in all.

    With `underscores` these are taken too, as the platform takes them where it creates a workspace on the way.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(name, str):
        raise _wrong_type("name", "a text", name)
    if not (_LENIENT_WORKSPACE_NAME if underscores else _WORKSPACE_NAME).fullmatch(name):
        raise BadArgument(
            f"{name[:80]!r} is no name for a workspace.",
            hint="It takes a letter first, then letters, digits and dashes, under 64 characters in all.",
            argument="name",
        )
    return name


def checked_timeout(timeout: object, argument: str = "timeout") -> float | None:
    """A time limit in seconds, 1 s to 366 days, or None.

    Raises:
        BadArgument: it is something else.
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


def checked_seconds(value: object, argument: str) -> float:
    """A time from 0 on, in seconds.

    Raises:
        BadArgument: it is something else.
    """
    seconds = _number(value, argument)
    if seconds < 0:
        raise BadArgument(Argument(argument) + f" is {value!r}.", hint="It takes 0 seconds or more.", argument=argument)
    return seconds


def checked_count(value: object, argument: str, least: int) -> int:
    """A whole number from `least` on, as far as the store can count.

    Raises:
        BadArgument: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(argument, "a whole number", value)
    if not least <= value <= _COUNT:
        how = f"less than {least}" if value < least else "too large"
        raise BadArgument(Argument(argument) + f" is {how}.", hint=f"It takes {least} to {_COUNT}.", argument=argument, limit=least)
    return value


def checked_moment(value: object, argument: str) -> datetime:
    """A time that says which one it is: an aware datetime.

    Raises:
        BadArgument: it is something else, or has no zone.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadArgument(
            Argument(argument) + f" is {value!r:.80}.",
            hint="It takes an aware datetime" + PythonOnly(": datetime.now(UTC)") + ".",
            argument=argument,
        )
    return value


def checked_flag(value: object, argument: str) -> bool:
    """True or False.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(value, bool):
        raise _wrong_type(argument, "True or False", value)
    return value


def checked_id(value: object, argument: str) -> str:
    """An id, as text.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(value, str):
        raise _wrong_type(argument, "an id (a text)", value)
    if len(value) > _NAME_CHARACTERS or not value.isprintable():
        raise BadArgument(
            Argument(argument) + f" is no id: {value[:40]!r}.", hint="Ids are UUIDs" + PythonOnly(": see id()") + ".", argument=argument
        )
    return value


def checked_texts(values: object, argument: str) -> tuple[str, ...]:
    """Some texts, none of them empty.

    Raises:
        BadArgument: they are something else, a single text for instance.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise _wrong_type(argument, "a list of texts", values)
    found = tuple(values)
    for value in found:
        if not isinstance(value, str) or not value or "\0" in value:
            raise BadArgument(
                Argument(argument) + f" has {value!r:.80}.", hint="It takes a list of texts, none of them empty.", argument=argument
            )
    return found


def checked_limits(limits: object) -> Limits:
    """Limits that are whole numbers from 0 on.

    Raises:
        BadArgument: they are something else.
    """
    if not isinstance(limits, Limits):
        raise _wrong_type("limits", "a Limits", limits)
    for name, value in limits._asdict().items():
        checked_count(value, f"limits.{name}", 0)
    return limits


def encoded_arguments(arguments: object, limit_bytes: int) -> str:
    """Task arguments as JSON text of one object; None is an empty one.

    Raises:
        BadArgument: they are no object, no JSON, too large or too deep.
    """
    return _encoded_object(arguments, limit_bytes, "json_args", "Put large data into the bundle, or pass where it lies.")


def encoded_details(details: object, limit_bytes: int) -> str:
    """A connection's details as JSON text of one object; None is an empty one. No refusal shows any of them.

    Raises:
        BadArgument: they are no object, no JSON, too large or too deep.
    """
    return _encoded_object(details, limit_bytes, "details", "Put large data into a file, and into the details where it lies.")


def checked_choice(value: object, argument: str, known: Sequence[str]) -> str:
    """One of the words that are known.

    Raises:
        BadArgument: it is something else.
    """
    if not isinstance(value, str) or value not in known:
        raise BadArgument(Argument(argument) + f" is {value!r:.80}.", hint=f"It takes one of: {', '.join(known)}.", argument=argument)
    return value


def checked_command(value: object, argument: str) -> tuple[str, ...] | None:
    """A program and its arguments, as a list of texts, or None.

    Raises:
        BadArgument: it is something else.
    """
    if value is None:
        return None
    command = checked_texts(value, argument)
    if not command or not command[0] or any("\0" in word for word in command):
        raise BadArgument(
            Argument(argument) + f" is {value!r:.80}.", hint='It takes a program and its arguments: ["notify", "me"].', argument=argument
        )
    return command


def checked_env(env: object, argument: str = "env") -> dict[str, str]:
    """Environment variables: names and values that a process can be given.

    Raises:
        BadArgument: they are something else.
    """
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise _wrong_type(argument, "a dictionary of texts", env)
    for name, value in env.items():
        _check_variable_name(name, argument)
        if not isinstance(value, str) or not _fits_a_process(value):
            raise BadArgument(
                Argument(argument) + f"[{name!r}] is no text that a process can be given.",
                hint="Values are texts without NUL" + PythonOnly(": str(value)") + ".",
                argument=argument,
            )
    return dict(env)


def checked_env_names(names: object) -> tuple[str, ...]:
    """Names of environment variables to pass through.

    Raises:
        BadArgument: they are something else.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise _wrong_type("env_passthrough", "a list of names", names)
    found = tuple(names)
    for name in found:
        _check_variable_name(name, "env_passthrough")
    return found


def _check_variable_name(name: Any, argument: str) -> None:
    if not isinstance(name, str) or not name or "=" in name or not _fits_a_process(name):
        raise BadArgument(
            Argument(argument) + f" has {name!r}, which is no name of a variable.", hint="A name holds no = and no NUL.", argument=argument
        )


def _fits_a_process(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _encoded_object(value: object, limit_bytes: int, argument: str, less: str) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, Mapping):
        raise _wrong_type(argument, "a dictionary", value)
    _check_depth(value, argument)
    text = _json(value, argument)
    size_bytes = len(text.encode())
    if size_bytes > limit_bytes:
        raise BadArgument(
            Argument(argument) + f" has {size_bytes} bytes as JSON, the limit is {limit_bytes}.",
            hint=less,
            argument=argument,
            limit_bytes=limit_bytes,
        )
    return text


def _json(value: Mapping[str, Any], argument: str) -> str:
    """JSON text that can be written as UTF-8."""
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    else:
        return text
    # Outside of the handler: the error that Python raised holds the whole text, and would travel along as the context of this one.
    raise BadArgument(
        Argument(argument) + f" is no JSON: {problem}.",
        hint="It takes dictionaries with text keys, lists, texts, finite numbers, True, False and None.",
        argument=argument,
    )


def _check_depth(value: Any, argument: str) -> None:
    level: list[Any] = [value]
    for _ in range(_ARGUMENTS_DEPTH):
        level = [inner for value in level for inner in _inside(value, argument)]
        if not level:
            return
    raise BadArgument(
        Argument(argument) + f" is nested deeper than {_ARGUMENTS_DEPTH} levels.",
        hint="Pass less, or put the data into a file.",
        argument=argument,
        limit=_ARGUMENTS_DEPTH,
    )


def _inside(value: Any, argument: str) -> Iterable[Any]:
    if isinstance(value, Mapping):
        # JSON would silently turn the key 1 into "1".
        if not all(isinstance(key, str) for key in value):
            raise BadArgument(
                Argument(argument) + " has a key that is no text.",
                hint="Write it as a text" + PythonOnly(": str(key)") + ".",
                argument=argument,
            )
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _number(value: object, argument: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(argument, "a number of seconds", value)
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadArgument(Argument(argument) + f" is {seconds}.", hint="It takes a finite number of seconds.", argument=argument)
    return seconds


def _wrong_type(argument: str, wanted: str, value: object) -> BadArgument:
    return BadArgument(Argument(argument) + f" is a {type(value).__name__}.", hint="It takes " + wanted + ".", argument=argument)


def checked_path(given: object, argument: str = "path") -> Path:
    """A path as a caller may give it: absolute, `~` resolved.

    Raises:
        BadArgument: it is none.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    try:
        if not isinstance(text, str) or not text or b"\0" in os.fsencode(text):
            raise ValueError("no path")
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError) as error:  # RuntimeError: nobody knows the home of `~name`
        raise BadArgument(Argument(argument) + f" is {given!r:.80}.", hint="It takes a path.", argument=argument) from error
