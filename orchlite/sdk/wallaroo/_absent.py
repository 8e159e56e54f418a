"""Placeholders for what the platform's SDK has and orchlite does not: they can be imported, named and caught, but not called.

A call raises NotImplementedError and writes the message to stderr as well: programs swallow exceptions with a bare `except:`, and a call
without effect must never look like a success.
"""

from __future__ import annotations

import sys

from . import __version__

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import Enum
    from typing import Any, NoReturn


def refuse(name: str, reason: str = "") -> NoReturn:
    """Write to stderr that orchlite does not emulate `name`, or the reason why it does not here, and raise.

    Raises:
        NotImplementedError: always.

    """
    message = f"{name} is not emulated by orchlite; only the platform's SDK (wallaroo {__version__}) has it."
    if reason:
        message = f"{name}: {reason}"
    try:
        # One write, so that the lines of two threads do not mix. stderr is None under pythonw and some servers.
        sys.stderr.write(f"orchlite: {message}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass  # a lost message must not hide the exception
    raise NotImplementedError(message)


class Absent:
    """A placeholder for a function or object of the SDK. Its attributes are placeholders, too; any call raises NotImplementedError."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: Any, **named: Any) -> NoReturn:
        refuse(self.__name__)

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("_"):
            raise AttributeError(name)  # no message: a half-made copy has no `__name__` yet
        return Absent(f"{self.__name__}.{name}")

    def __repr__(self) -> str:
        return f"<{self.__name__}: not emulated by orchlite>"


def fill(cls: type, members: Sequence[str]) -> None:
    """Add a placeholder to `cls` for each of the SDK's `members` that it lacks."""
    for name in members:
        if not any(name in vars(base) for base in cls.__mro__):
            setattr(cls, name, Absent(f"{cls.__name__}.{name}"))


def absent_class(module: str, name: str, members: Sequence[str]) -> type:
    """Return a class for type hints, `isinstance` and subclassing. Creating an instance raises NotImplementedError."""

    def __new__(cls: type, *args: Any, **named: Any) -> NoReturn:  # noqa: N807
        refuse(f"wallaroo.{module}.{name}")

    cls = type(name, (), {"__new__": __new__, "__module__": f"wallaroo.{module}", "__doc__": "Not emulated by orchlite."})
    fill(cls, members)
    return cls


def absent_error(module: str, name: str, base: type[Exception]) -> type[Exception]:
    """Return an exception class that can be raised and caught; the text of an instance is its arguments."""
    body = {"__init__": _init_error, "__module__": f"wallaroo.{module}", "__doc__": "An error of the platform's SDK."}
    return type(name, (base,), body)


def _init_error(self: Exception, *args: Any, **named: Any) -> None:
    self.args = (*args, *named.values())


def absent_enum(kind: str, module: str, name: str, words: Sequence[str]) -> type[Enum]:
    """Return an enumeration with the SDK's members and values; its methods are placeholders.

    `words` are members, `MEMBER=value` (without a value: the member's name in lower case, with dashes), and names of methods.
    """
    import enum

    pairs = [(member, value or member.lower().replace("_", "-")) for member, is_member, value in map(_split, words) if is_member]
    flavour: Any = enum.StrEnum if kind == "text-enum" else enum.Enum
    made: type[Enum] = flavour(name, pairs, module=f"wallaroo.{module}", type=str if kind == "str-enum" else None)
    fill(made, [word for word in words if "=" not in word])
    return made


def _split(word: str) -> tuple[str, str, str]:
    return word.partition("=")
