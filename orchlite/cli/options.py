"""What every verb takes, and how options are read: times, durations, `NAME=VALUE`, the store that is opened.

`--store`, `--workspace`, `--json`, `--quiet` and `--debug` stand before a verb or behind it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.output import Output
from orchlite.clock import SystemClock
from orchlite.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from orchlite.client import Client
    from orchlite.paths import StoreFolder

    Converter = click.ParamType[Any]
else:
    Converter = click.ParamType  # it is generic in new releases only

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)([smhdw]))+|\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


class Setting:
    """What the options that every verb has were set to."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.workspace = os.environ.get("ORCHLITE_WORKSPACE") or "default"
        self.json = False
        self.quiet = False
        self.debug = False

    def output(self) -> Output:
        """How to speak."""
        return Output(as_json=self.json, quiet=self.quiet)

    def folder(self) -> StoreFolder:
        """The store that is meant: `--store`, else ORCHLITE_STORE, else the user's."""
        from orchlite import paths

        return paths.store_folder(self.store)

    def opened(self, *, create: bool = False, **settings: Any) -> Client:
        """The store, opened, with the workspace chosen. Only verbs that put something into it `create` it.

        Raises:
            NotFound: there is no such store, or no such workspace.
        """
        from orchlite.client import Client

        folder = self.folder()
        if not create and not folder.database.exists():
            hint = "`orchlite run` or `orchlite upload` makes one; --store or ORCHLITE_STORE name another."
            raise NotFound(f"There is no store in {str(folder.path)!r} yet.", hint=hint, path=str(folder.path))
        client = Client(folder.path, **{name: value for name, value in settings.items() if value not in (None, ())})
        try:
            return _in_workspace(client, self.workspace)
        except BaseException:
            client.close(drain=False)
            raise


def _in_workspace(client: Client, name: str) -> Client:
    try:
        client.set_current_workspace(client.get_workspace(name))
    except NotFound as error:
        hint = f"`orchlite workspaces create {name}` creates it; `orchlite workspaces` lists them."
        raise NotFound(error.message, hint=hint, **error.details) from None
    return client


def setting() -> Setting:
    """What the options of this call were set to."""
    found: Setting = click.get_current_context().ensure_object(Setting)
    return found


class Verb(click.Command):
    """A command that has the options of every verb."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options()


class VerbGroup(click.Group):
    """A verb that has verbs below it; by itself it lists."""

    command_class = Verb

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += common_options()


def common_options() -> list[click.Parameter]:
    """The options of every verb. They set what `setting()` answers, and are no arguments of the verb itself."""
    return [
        _common("--store", "store", metavar="FOLDER", help="The store; else ORCHLITE_STORE, else one in your data folder."),
        _common("--workspace", "-w", "workspace", metavar="NAME", help="The workspace; else ORCHLITE_WORKSPACE, else `default`."),
        _common("--json", "json", is_flag=True, help="Answer in JSON."),
        _common("--quiet", "-q", "quiet", is_flag=True, help="Say nothing on standard error but what went wrong."),
        _common("--debug", "debug", is_flag=True, help="Show where an error came from."),
    ]


def _common(*names: str, **settings: Any) -> click.Option:
    def take(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value:  # not given here, perhaps before the verb
            setattr(context.ensure_object(Setting), str(parameter.name), value)

    return click.Option(names, expose_value=False, callback=take, is_eager=True, **settings)


class Duration(Converter):
    """A span of time: `90`, `90s`, `5m`, `1h30m`, `2d`, `1w`; a bare number is seconds.

    With `unit_needed` no bare number is taken: where things are removed, nobody should take 30 for days and have seconds.
    """

    name = "duration"

    def __init__(self, *, unit_needed: bool = False) -> None:
        self._unit_needed = unit_needed

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if not _DURATION.fullmatch(value) or (self._unit_needed and not _PART.search(value)):
            self.fail(f"{value!r} is no duration: write 90s, 5m, 1h30m, 2d or 1w.", parameter, context)
        parts = _PART.findall(value) or [(value, "s")]
        try:
            return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
        except OverflowError:
            self.fail(f"{value!r} is too long.", parameter, context)


class Moment(Converter):
    """A time: a duration before now, `10m`, or an ISO time, `2026-03-01T14:00`, on this machine's clock unless it names a zone."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if _DURATION.fullmatch(value):
                return SystemClock().now() - Duration().convert(value, parameter, context)
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write 10m, 2d, or 2026-03-01T14:00.", parameter, context)


def arguments_option(function: Any) -> Any:
    """Give a verb the options `--arg` and `--args-file`; `read_arguments` reads them."""
    function = click.option(
        "--args-file", metavar="FILE", help="A file with a JSON object of arguments; - is standard input. --arg wins over it."
    )(function)
    return click.option(
        "--arg", "args", multiple=True, metavar="K=V", help="An argument of the program: K=text, or K:=JSON. Can be given again."
    )(function)


def read_arguments(args: Iterable[str], args_file: str | None) -> dict[str, Any]:
    """The arguments of a run: those of the file, and over them those of the command line.

    Raises:
        BadArgument: the file is no JSON object, or a word is neither `K=V` nor `K:=JSON`.
    """
    return {**({} if args_file is None else _read_object(args_file, "--args-file")), **read_pairs(args, "--arg")}


def read_pairs(words: Iterable[str], option: str) -> dict[str, Any]:
    """Words of the form `K=text` or `K:=JSON`, as one object.

    Raises:
        BadArgument: one is neither, or a name comes twice.
    """
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


def read_details(pairs: Iterable[str], file: str | None) -> dict[str, Any]:
    """The details of a connection: those of the file, and over them those of the command line.

    Raises:
        BadArgument: as for `read_arguments`.
    """
    return {**({} if file is None else _read_object(file, "--details-file")), **read_pairs(pairs, "--detail")}


def _read_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "A text needs its quotes: k:='\"text\"'; or write k=text." if "--args-file" not in what else "It takes one JSON object."
        raise BadArgument(f"{what:.200} is no JSON: {error}.", hint=hint, argument=what.split()[0]) from error


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


environment_option = click.option(
    "--env", "-e", "env", multiple=True, metavar="NAME[=VALUE]", help="A variable for the program; without a value, yours. Repeatable."
)
base_image_option = click.option(
    "--base-image",
    multiple=True,
    metavar="IMAGE",
    help="What runs see below their requirements: `host`, `clean`, or a requirement (repeatable).",
)
index_option = click.option("--index-url", multiple=True, metavar="URL", help="A package index to install from. Repeatable.")
exclude_option = click.option("--exclude", multiple=True, metavar="PATTERN", help="What of a folder is not packed. Repeatable.")


def client_settings(base_image: tuple[str, ...] = (), index_url: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings of a client that these options ask for."""
    image = base_image[0] if base_image in (("host",), ("clean",)) else list(base_image)
    return {"base_image": image or None, "index_urls": index_url}
