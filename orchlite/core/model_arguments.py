"""Checks arguments about models and pipelines, as `arguments` does for others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from orchlite.core.arguments import checked_texts
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument

_MODEL_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PIPELINE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def checked_model_name(name: object, argument: str = "name") -> str:
    """Return a model's name. The platform's rule: a letter, then letters, digits and dashes, no dash at the end, 63 characters at most.

    Raises:
        BadArgument: `name` is something else.
    """
    return _checked(name, argument, _MODEL_NAME, "a letter, then letters, digits and dashes, no dash at the end, 63 characters at most")


def checked_pipeline_name(name: object, argument: str = "pipeline_name") -> str:
    """Return a pipeline's name: as a model's, without capital letters.

    Raises:
        BadArgument: `name` is something else.
    """
    return _checked(
        name,
        argument,
        _PIPELINE_NAME,
        "a lower-case letter, then such letters, digits and dashes, no dash at the end, 63 characters at most",
    )


def checked_framework(framework: object) -> str:
    """Return the text of a framework, which may be a member of an enumeration of strings. Whether it is known is not checked.

    Raises:
        BadArgument: it is no string.
    """
    if not isinstance(framework, str):
        raise _wrong_type("framework", framework)
    return str.__str__(framework)


def checked_schema(schema: object, argument: str) -> bytes | None:
    """Return an Arrow schema as the message that `pyarrow.Schema.serialize` returns; None for None. pyarrow is not imported.

    Raises:
        BadArgument: it is neither a schema nor the bytes of one.
    """
    if schema is None:
        return None
    serialize: Any = getattr(schema, "serialize", None)
    try:
        return bytes(serialize() if callable(serialize) else memoryview(schema))  # type: ignore[arg-type]
    except TypeError as error:
        raise BadArgument(
            Argument(argument) + f" is of type {type(schema).__name__}.", hint="It takes a schema of pyarrow.", argument=argument
        ) from error


def checked_fields(fields: Iterable[str] | None, argument: str) -> list[str] | None:
    """Return names of columns, each once and none of them empty; None for None.

    Raises:
        BadArgument: `fields` is something else, for instance a single string.
    """
    if fields is None:
        return None
    names = checked_texts(fields, argument)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadArgument(Argument(argument) + f" has {twice!r:.80} twice.", hint="Name each input once.", argument=argument)
    return list(names)


def _checked(name: object, argument: str, rule: re.Pattern[str], words: str) -> str:
    if not isinstance(name, str):
        raise _wrong_type(argument, name)
    if not rule.fullmatch(name):
        raise BadArgument(f"{name[:80]!r} is not a valid name.", hint=f"It takes {words}.", argument=argument)
    return name


def _wrong_type(argument: str, value: object) -> BadArgument:
    return BadArgument(Argument(argument) + f" is of type {type(value).__name__}.", hint="It takes a string.", argument=argument)
