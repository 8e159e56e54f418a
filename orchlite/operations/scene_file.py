"""A TOML file whose errors name its lines. `tomllib` keeps no positions, so a line is found by parsing the file's beginnings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchlite.core.errors import BadArgument, BadScene, InvalidInput
from orchlite.core.settings import MEBIBYTE
from orchlite.core.sizes import size_text
from orchlite.core.system_errors import shortages
from orchlite.core.text import quoted

Key = tuple[str | int, ...]
"""Where a value is: names of tables and keys, and numbers of elements of arrays."""

_MAX_BYTES = MEBIBYTE
_LINE = re.compile(r"\(at line (\d+), ")
_BARE = re.compile(r"[A-Za-z0-9_-]{1,80}")


class SceneFile:
    """The content of a scene, and where it is in the file."""

    def __init__(self, path: Path) -> None:
        """Read a file of 1 MiB at most.

        Raises:
            BadArgument: it cannot be read.
            BadScene: it is not TOML.
        """
        self.path = path
        self._text = _read(path)
        try:
            self.content: dict[str, Any] = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise self._not_toml(error) from error

    def bad(self, key: Key, message: str, hint: str | None) -> BadScene:
        """Return the error about the value at `key`, whose message begins with the place."""
        line, text = self._line_of(key), key_text(key)
        place = f"{self.path.name}, line {line}, {text}: "
        return BadScene(place + message, hint=hint, path=str(self.path), line=line, key=text)

    @contextmanager
    def checking(self, *key: str | int) -> Iterator[None]:
        """Say of what the block refuses that it is the value at `key`.

        Raises:
            BadScene: the block raised InvalidInput.
        """
        try:
            yield
        except BadScene:
            raise
        except InvalidInput as error:
            raise self.bad(key, error.message, error.hint) from error

    def _line_of(self, key: Key) -> int:
        """Return the number of the line after which the value at `key` is there, be it as a part of an array that is still open.

        Beginnings of a file that are TOML have ever more values, so half of the lines is left at each step.
        """
        lines = self._text.split("\n")
        without, with_it = 0, len(lines)
        while with_it - without > 1:
            middle = (without + with_it) // 2
            parsed = ((number, _parsed(lines[:number])) for number in range(middle, without, -1))
            number, content = next((each for each in parsed if each[1] is not None), (0, None))
            if _has(content, key):
                with_it = number
            else:
                without = middle
        return with_it

    def _not_toml(self, error: Exception) -> BadScene:
        known = _LINE.search(str(error))
        line = int(known[1]) if known else self._text.count("\n") + 1
        hint = "The manual's page `models` has an example."
        return BadScene(f"{self.path.name} is not TOML: {error}.", hint=hint, path=str(self.path), line=line, key=None)


def key_text(key: Key) -> str:
    """Return a key as text: `pipelines.houses.steps[1]`, with numbers from 0 on."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part if _BARE.fullmatch(part) else quoted(part)}" for part in key)
    return "".join(parts).removeprefix(".")


def _read(path: Path) -> str:
    try:
        with shortages(f"{str(path)!r} cannot be read", path=str(path)), path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {size_text(_MAX_BYTES)}")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadArgument(
            f"The scene {str(path)!r} cannot be read: {why}.", hint="Give the path of a TOML file.", argument="path"
        ) from error


def _parsed(lines: list[str]) -> dict[str, Any] | None:
    for rest in ([], ["]"]):  # the bracket closes an array
        with suppress(tomllib.TOMLDecodeError):
            return tomllib.loads("\n".join([*lines, *rest]))
    return None


def _has(value: Any, key: Key) -> bool:
    try:
        for part in key:
            value = value[part]
    except (LookupError, TypeError):
        return False
    return True
