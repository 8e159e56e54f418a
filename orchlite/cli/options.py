"""The options that every verb has, and the types of options for durations and times.

`--store`, `--workspace`, `--json`, `--quiet` and `--debug` are accepted before a verb and after it.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from orchlite.cli.output import Output
from orchlite.cli.synonyms import Suggesting, suggesting_options
from orchlite.core.clock import SystemClock
from orchlite.core.durations import parsed_duration
from orchlite.core.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.core.folders import StoreFolder
    from orchlite.core.settings import Limits

    Converter = click.ParamType[Any]
else:
    Converter = click.ParamType  # generic since click 8.2

_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].+)?")


class CommonOptions:
    """The values of the options that every verb has."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.workspace = _default_workspace()
        self.names_workspace = False
        """Whether `--workspace` is given, by which a verb that lists all workspaces can list one."""
        self.anywhere = False
        """Whether the verb is about no single workspace, so that none is selected."""
        self.json = False
        self.quiet = False
        self.debug = False
        self.limits: dict[str, int] = {}
        """The fields of `Limits` that `--limit` has changed."""

    def output(self) -> Output:
        """Return the output that these options ask for."""
        return Output(as_json=self.json, quiet=self.quiet)

    def store_folder(self) -> StoreFolder:
        """Return the folder of the store: `--store`, else ORCHLITE_STORE, else the one in the user's data folder."""
        from orchlite.core import folders

        return folders.StoreFolder(absolute_path(folders.store_folder(self.store).path))

    def is_first_use(self) -> bool:
        """Return whether the store is the default one, and this account has never had a folder for it."""
        from orchlite.core import folders

        return self.store is None and folders.is_first_use()

    def command(self, *words: str, anywhere: bool = False) -> str:
        """Return a command to paste into a shell, for the store of this call and, unless it works `anywhere`, its workspace."""
        import shlex

        store = [] if self.store is None else ["--store", self.store]
        workspace = [] if anywhere or self.workspace == _default_workspace() else ["--workspace", self.workspace]
        return shlex.join(["orchlite", *words, *store, *workspace])

    def client_limits(self) -> Limits:
        """Return the limits of a client: the default ones, changed by `--limit`."""
        from orchlite.core.settings import Limits

        return Limits(**self.limits)

    def open_client(self, *, create: bool = False, **settings: Any) -> Client:
        """Open the store and select the workspace. With `create`, make a store that does not exist.

        Raises:
            NotFound: there is no store, or no such workspace.
            OrchliteError: as `Client` raises.
        """
        from orchlite.client.client import Client

        folder = self.store_folder()
        if not create and not folder.database.exists():
            hint = "`orchlite run`, `schedule` and `start --create` make one; --store and ORCHLITE_STORE name another."
            raise NotFound(f"There is no store at {str(folder.path)!r}.", hint=hint, path=str(folder.path))
        client = Client(
            folder.path, limits=self.client_limits(), **{name: value for name, value in settings.items() if value not in (None, ())}
        )
        try:
            if not self.anywhere:
                client.set_current_workspace(client.get_workspace(self.workspace))
        except NotFound as error:
            client.close(drain=False)
            way_out = self.command("workspaces", "create", self.workspace, anywhere=True)
            raise NotFound(error.message, hint=f"`{way_out}` creates it; `orchlite workspaces` lists them.", **error.details) from None
        except BaseException:
            client.close(drain=False)
            raise
        return client


raw_option = click.option("--raw", is_flag=True, help="Pass all control sequences of the program to the terminal, not only colours.")
"""Decorate a verb that prints programs' output with `--raw`, passed as the flag `raw`."""


def _default_workspace() -> str:
    return os.environ.get("ORCHLITE_WORKSPACE") or "default"


def absolute_path(path: Path) -> Path:
    """Return the path, absolute and without `..`. A symbolic link at its end is not followed.

    Raises:
        BadArgument: it begins with `~` or `~name`, for which there is no home folder.
    """
    try:
        whole = path.expanduser().absolute()
    except RuntimeError as error:
        hint = "Name the folder without ~."
        raise BadArgument(f"There is no home folder for {str(path)!r}.", hint=hint, argument="path") from error
    return whole.resolve() if ".." in whole.parts else whole


def common_options() -> CommonOptions:
    """Return the values of the options of the current call."""
    found: CommonOptions = click.get_current_context().ensure_object(CommonOptions)
    return found


class Verb(click.Command):
    """A command with the options of every verb."""

    def __init__(self, *args: Any, anywhere: bool = False, **settings: Any) -> None:
        """Refuse `--workspace` if the verb works `anywhere`: if it is about all workspaces, or about none."""
        super().__init__(*args, **settings)
        self.params += common_parameters(anywhere=anywhere)
        self._anywhere = anywhere

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        if self._anywhere:
            _select_no_workspace(ctx)
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options and arguments of the verb."""
        with suggesting_options(self, ctx):
            return super().parse_args(ctx, args)


class VerbGroup(Suggesting):
    """A verb with subcommands; without one, it lists."""

    command_class = Verb

    def __init__(self, *args: Any, anywhere: bool = False, **settings: Any) -> None:
        """See `Verb`."""
        super().__init__(*args, **settings)
        self.params += common_parameters(anywhere=anywhere)
        self._anywhere = anywhere

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or a subcommand."""
        if self._anywhere:
            _select_no_workspace(ctx)
        return super().invoke(ctx)


def _select_no_workspace(context: click.Context) -> None:
    """Refuse `--workspace`. The variable ORCHLITE_WORKSPACE has no effect.

    Raises:
        UsageError: it is given.
    """
    options = context.ensure_object(CommonOptions)
    options.anywhere = True
    if options.names_workspace:
        raise click.UsageError(f"--workspace does not go with {context.info_name}, which is about the whole store or none.", context)


def common_parameters(*, anywhere: bool = False) -> list[click.Parameter]:
    """Return new options for a verb. They set `common_options()`, and are not passed to the verb's function."""
    return [
        _common("--store", "store", metavar="FOLDER", help="The store. Default: $ORCHLITE_STORE, else one in your data folder."),
        _common(
            *("--workspace", "-w", "workspace"),
            metavar="NAME",
            help="The workspace. Default: $ORCHLITE_WORKSPACE, else `default`.",
            hidden=anywhere,
        ),
        _common("--json", "json", is_flag=True, help="Print JSON."),
        _common("--quiet", "-q", "quiet", is_flag=True, help="Print nothing but results and errors."),
        _common("--debug", "debug", is_flag=True, help="Print the traceback of an error."),
    ]


def _common(*names: str, **settings: Any) -> click.Option:
    def take(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value:  # else it may have been given before the verb
            options = context.ensure_object(CommonOptions)
            setattr(options, str(parameter.name), value)
            options.names_workspace |= parameter.name == "workspace"

    return click.Option(names, expose_value=False, callback=take, is_eager=True, **settings)


class Duration(Converter):
    """A span of time: `90s`, `5m`, `1h30m`, `2d`, `1w`. A bare number is refused, because its unit would be a guess."""

    name = "duration"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> timedelta:
        """Return the duration."""
        if isinstance(value, timedelta):
            return value
        try:
            duration = parsed_duration(value)
        except OverflowError:
            self.fail(f"{value!r} is too long.", parameter, context)
        if duration is None:
            self.fail(f"{value!r} is not a duration: write 30s, 5m, 1h30m, 30d.", parameter, context)
        return duration


def seconds_of(duration: timedelta | None) -> float | None:
    """Return the seconds of an option's duration; None if it was not given."""
    return None if duration is None else duration.total_seconds()


class Zone(Converter):
    """The name of a time zone, which a shell can complete. The schedule checks it."""

    name = "zone"

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin like this, in any case."""
        from orchlite.schedules.zone_names import zone_file_names

        return [CompletionItem(zone) for zone in zone_file_names() if zone.lower().startswith(incomplete.lower())]


class LimitChange(Converter):
    """A field of `Limits` and its new value: `upload_bytes=500MiB`, `entries=20000`."""

    name = "limit"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, int]:
        """Return the field and the value."""
        from orchlite.core.settings import Limits
        from orchlite.core.sizes import parsed_size

        if not isinstance(value, str):
            return (value[0], value[1])
        name, _, text = value.partition("=")
        if name not in Limits._fields:
            self.fail(f"there is no limit {name!r:.80}. The limits are: {', '.join(Limits._fields)}.", parameter, context)
        is_size = name.endswith("_bytes")
        found = parsed_size(text) if is_size else None
        if found is None and not (text.isascii() and text.isdecimal()):
            self.fail(f"{text!r:.80} is no {'size: write 500MiB' if is_size else 'number'}.", parameter, context)
        return name, int(text) if found is None else found

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin like this, each with its `=`."""
        from orchlite.core.settings import Limits

        return [CompletionItem(f"{name}=") for name in Limits._fields if name.startswith(incomplete)]


def limit_option(function: Any) -> Any:
    """Decorate a verb with `--limit`, which changes the limits of the client that `CommonOptions.open_client` returns."""

    def take(context: click.Context, parameter: click.Parameter, value: tuple[tuple[str, int], ...]) -> None:
        context.ensure_object(CommonOptions).limits = dict(value)

    decorate = click.option(
        "--limit",
        type=LimitChange(),
        multiple=True,
        expose_value=False,
        callback=take,
        envvar="ORCHLITE_LIMITS",
        metavar="NAME=VALUE",
        help="Change a limit, as upload_bytes=500MiB. Repeatable.  [default: $ORCHLITE_LIMITS]",
    )
    return decorate(function)


class ShellCommand(Converter):
    """A command for a shell, as a program and its arguments: pipes, redirections and variables work as in a crontab."""

    name = "command"
    SHELL = ("/bin/sh", "-c")

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> list[str]:
        """Return the program and its arguments."""
        if not isinstance(value, str):
            return list(value)
        if not value.strip():
            self.fail("the command is empty.", parameter, context)
        return [*self.SHELL, value]


class Moment(Converter):
    """A time: a duration before now, such as `10m`, or a date such as `2026-03-01T14:00`, local unless it names a zone."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> datetime:
        """Return the time, aware."""
        if isinstance(value, datetime):
            return value
        try:
            if (duration := parsed_duration(value)) is not None:
                return SystemClock().now() - duration
            if not _FULL_DATE.fullmatch(value):  # fromisoformat also accepts weeks, and dates without dashes
                raise ValueError(value)
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time: write 10m, 1h30m, 30d, or 2026-03-01T14:00.", parameter, context)
