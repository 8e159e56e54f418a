"""Texts that name something of the Python API, and that other interfaces spell in their own language.

The message and the hint of an error are read by users of Python, of the command line and of the REST API. Write what differs between them
as a `Part`, and join it with `+`:

    hint="Leave it out with " + Api.EXCLUDE + OrRaise("entries") + "."

The result is a `str` in Python's spelling that keeps its parts, so that a `Language` can spell them for another interface. An f-string,
`str.format` and `str.join` return plain text without parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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


class OrRaise(Part):
    """The end of a hint: to raise a field of `Limits`. An interface that cannot do so leaves it out."""

    field: str

    def __new__(cls, field: str) -> OrRaise:
        part = super().__new__(cls, f", or raise Limits.{field}")
        part.field = field
        return part

    def __getnewargs__(self) -> tuple[str]:
        """Return what a copy is made from."""
        return (self.field,)


class Name(Part):
    """The name of a call or an argument that every interface has under a name of its own."""


class Api:
    """The names that texts may mention."""

    ALLOW_REMOTE = Name("allow_remote=True")
    BACKUP = Name("backup(path)")
    CLIENT_PATH = Name("Client(path)")
    EXCLUDE = Name("exclude=")
    GET_WORKSPACE = Name("get_workspace(name)")
    INDEX_URLS = Name("Client(index_urls=...)")
    KILL = Name("kill()")
    LIST_CONNECTIONS = Name("list_connections()")
    LIST_MODELS = Name("list_models()")
    LIST_ORCHESTRATIONS = Name("list_orchestrations()")
    LIST_PIPELINES = Name("list_pipelines()")
    LIST_RUNS = Name("list_runs()")
    LIST_TASKS = Name("list_tasks()")
    LIST_WORKSPACES = Name("list_workspaces()")
    PRUNE = Name("prune()")
    RERUN = Name("rerun()")
    RUN_CONTINUOUSLY = Name("run_continuously()")
    RUN_SCHEDULED = Name("run_scheduled()")
    START = Name("start()")
    START_ADOPTING = Name("start(adopt_copy=True)")
    THIRTY_DAYS = Name("timedelta(days=30)")
    TIMEZONE = Name("timezone=")


class Language:
    """How an interface spells what the interfaces spell differently."""

    def __init__(self, names: Mapping[Name, str], arguments: Mapping[str, str], or_raise: str = "") -> None:
        """Create a language from the spelling of every name in `Api`, and of arguments whose names differ from Python's.

        or_raise: how a hint ends that a limit can be raised, with `{field}` and `{value}` for its field and its new value.
        """
        self.names = names
        self.or_raise = or_raise
        self.arguments = arguments

    def spell(self, text: str) -> str:
        """Return the text in the spelling of this interface. It is empty if all of it was for Python only."""
        return self._spelled(text).rstrip()

    def _spelled(self, text: str) -> str:
        match text:
            case Phrase():
                return "".join(map(self._spelled, text.parts))
            case Name():
                return self.names[text]
            case Argument():
                return self.arguments.get(text, str(text))
            case OrRaise():
                return self.or_raise.format(field=text.field, value="SIZE" if text.field.endswith("_bytes") else "N")
            case PythonOnly():
                return ""
            case _:
                return text


def join(separator: str, texts: Iterable[str]) -> Phrase:
    """Join texts like `str.join`, and keep their parts."""
    first, *others = texts
    return Phrase(first, *(part for text in others for part in (separator, text)))
