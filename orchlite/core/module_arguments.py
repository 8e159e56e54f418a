"""Checks names of modules that callers pass in."""

from __future__ import annotations

from collections.abc import Iterable

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument


def checked_modules(names: object, argument: str) -> tuple[str, ...]:
    """Return names of modules, such as `pandas` and `xml.etree`.

    Raises:
        BadArgument: `names` is something else, for instance a single string.
    """
    found = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (None,)
    for name in found:
        if not isinstance(name, str) or not name.isascii() or not all(part.isidentifier() for part in name.split(".")):
            wrong = names if name is None else name
            hint = 'It takes names such as "pandas" and "xml.etree".'
            raise BadArgument(Argument(argument) + f" has {wrong!r:.80}, which is no name of a module.", hint=hint, argument=argument)
    return found
