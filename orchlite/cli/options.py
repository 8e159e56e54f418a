"""What every verb takes: the store that is opened and how it is spoken of; and how times and durations are read.

`--store`, `--workspace`, `--json`, `--quiet` and `--debug` stand before a verb or behind it.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.output import Output
from orchlite.core.clock import SystemClock
from orchlite.core.errors import NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.core.folders import StoreFolder

    Converter = click.ParamType[Any]
else:
    Converter = click.ParamType  # it is generic in new releases only

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].+)?")


class Setting:
    """What the options that every verb has were set to."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.workspace = _usual_workspace()
        self.json = False
        self.quiet = False
        self.debug = False

    def output(self) -> Output:
        """How to speak."""
        return Output(as_json=self.json, quiet=self.quiet)

    def folder(self) -> StoreFolder:
        """The store that is meant: `--store`, else ORCHLITE_STORE, else the user's."""
        from orchlite.core import folders as paths

        return paths.StoreFolder(whole_path(paths.store_folder(self.store).path))

    def command(self, *words: str, anywhere: bool = False) -> str:
        """A command that a person can paste into a shell: about the store and, unless it goes `anywhere`, the workspace of this call."""
        import shlex

        store = [] if self.store is None else ["--store", self.store]
        workspace = [] if anywhere or self.workspace == _usual_workspace() else ["--workspace", self.workspace]
        return shlex.join(["orchlite", *words, *store, *workspace])

    def opened(self, *, create: bool = False, **settings: Any) -> Client:
        """The store, opened, with the workspace chosen. Only verbs that put something into it `create` it.

        Raises:
            NotFound: there is no such store, or no such workspace.
        """
        from orchlite.client.client import Client

        folder = self.folder()
        if not create and not folder.database.exists():
            hint = "`orchlite run` or `orchlite upload` makes one; --store or ORCHLITE_STORE name another."
            raise NotFound(f"There is no store in {str(folder.path)!r} yet.", hint=hint, path=str(folder.path))
        client = Client(folder.path, **{name: value for name, value in settings.items() if value not in (None, ())})
        try:
            client.set_current_workspace(client.get_workspace(self.workspace))
        except NotFound as error:
            client.close(drain=False)
            way_out = self.command("workspaces", "create", self.workspace, anywhere=True)
            raise NotFound(error.message, hint=f"`{way_out}` creates it; `orchlite workspaces` lists them.", **error.details) from None
        except BaseException:
            client.close(drain=False)
            raise
        return client


def _usual_workspace() -> str:
    return os.environ.get("ORCHLITE_WORKSPACE") or "default"


def whole_path(path: Path) -> Path:
    """The path, absolute and without `..`; a link that is named keeps its name."""
    whole = path.expanduser().absolute()
    return whole.resolve() if ".." in whole.parts else whole


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
    """A span of time: `90s`, `5m`, `1h30m`, `2d`, `1w`. No bare number: nobody should take 30 for days, or minutes, and have seconds."""

    name = "duration"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if not _DURATION.fullmatch(value):
            self.fail(f"{value!r} is no duration: write 30s, 5m, 1h30m, 30d.", parameter, context)
        try:
            return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
        except OverflowError:
            self.fail(f"{value!r} is too long.", parameter, context)


class Moment(Converter):
    """A time: a duration before now, `10m`; or `2026-03-01`, `2026-03-01T14:00`, on this machine's clock unless it names a zone."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if _DURATION.fullmatch(value):
                return SystemClock().now() - Duration().convert(value, parameter, context)
            if not _FULL_DATE.fullmatch(value):  # ISO knows weeks, and dates without dashes, too
                raise ValueError(value)
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write 10m, 1h30m, 30d, or 2026-03-01T14:00.", parameter, context)
