"""Texts that name something of the Python API, and that other interfaces spell in their own language.

The message and the hint of an error are read by users of Python, of the command line and of the REST API. Write what differs between them
as a `Part`, and join it with `+`:

    hint="Leave it out with " + Api.EXCLUDE + PythonOnly(", or raise Limits.entries") + "."

The result is a `str` in Python's spelling. It keeps its parts, so that `spell` can render it for another interface. An f-string, a format
or a join returns plain text without parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple


class Part(str):
    """A piece of a text, in Python's spelling. Adding to it, on either side, returns a `Phrase`."""

    def __add__(self, other: str) -> Phrase:
        return Phrase(self, other)

    def __radd__(self, other: str) -> Phrase:
        return Phrase(other, self)


class Phrase(Part):
    """A text that keeps the parts it was joined from."""

    parts: tuple[str, ...]

    def __new__(cls, *parts: str) -> Phrase:
        phrase = super().__new__(cls, "".join(parts))
        phrase.parts = parts
        return phrase


class Argument(Part):
    """The name of an argument."""


class PythonOnly(Part):
    """What only a user of Python can do. Other interfaces leave it out."""


class Api(Part, Enum):
    """A call or an argument that every interface has under a name of its own. The value is Python's spelling."""

    ALLOW_REMOTE = "allow_remote=True"
    BACKUP = "backup(path)"
    CLIENT_PATH = "Client(path)"
    EXCLUDE = "exclude="
    GET_WORKSPACE = "get_workspace(name)"
    INDEX_URLS = "Client(index_urls=...)"
    KILL = "kill()"
    LIST_CONNECTIONS = "list_connections()"
    LIST_ORCHESTRATIONS = "list_orchestrations()"
    LIST_TASKS = "list_tasks()"
    LIST_WORKSPACES = "list_workspaces()"
    PRUNE = "prune()"
    RUN_CONTINUOUSLY = "run_continuously()"
    START = "start()"
    THIRTY_DAYS = "timedelta(days=30)"
    TIMEZONE = "timezone="

    __str__ = str.__str__


class Language(NamedTuple):
    """How an interface spells what differs between them."""

    api: Mapping[Api, str]
    """The spelling of every member of `Api`."""
    arguments: Mapping[str, str]
    """The spelling of arguments that have another name than in Python."""


def join(separator: str, texts: Iterable[str]) -> Phrase:
    """Join texts like `str.join`, and keep their parts."""
    first, *others = texts
    return Phrase(first, *(part for text in others for part in (separator, text)))


def spell(text: str, language: Language) -> str:
    """Return the text in the spelling of an interface. It is empty if all of it was for Python only."""
    return _spelled(text, language).rstrip()


def _spelled(text: str, language: Language) -> str:
    match text:
        case Phrase():
            return "".join(_spelled(part, language) for part in text.parts)
        case Api():
            return language.api[text]
        case Argument():
            return language.arguments.get(text, str(text))
        case PythonOnly():
            return ""
        case _:
            return text
