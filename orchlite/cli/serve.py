"""The verbs that host a store in the foreground: `start` keeps its schedules, and `serve` also serves the REST API."""

from __future__ import annotations

from datetime import timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.login_address import login_address
from orchlite.cli.options import Duration, ShellCommand, Verb, common_options, limit_option
from orchlite.cli.output import Output
from orchlite.cli.run_options import ClientSettings, Commands, environment_options, install_options, notification_options
from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.rest.server import Server

_MISSING = "The server needs packages that are not installed"
_workers_option = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Number of runs at the same time.  [default: number of cores]"
)
_standby_option = click.option(
    "--standby",
    type=Duration(),
    metavar="DURATION",
    help="How long the next run of an orchestration is kept ready; 0s: none.  [default: 60s]",
)
_retain_option = click.option("--retain", type=Duration(), help="Prune once a day what ended longer ago than this.  [default: no pruning]")
_heartbeat_option = click.option(
    "--heartbeat", type=ShellCommand(), help="Shell command to run once a minute while schedules are kept: a dead man's switch."
)


@click.command(cls=Verb, anywhere=True, short_help="Keep the store's schedules until Ctrl-C.")
@click.option("--create", is_flag=True, help="Make an empty store if there is none.")
@click.option("--adopt-copy", is_flag=True, help="Keep the schedules of a store that was copied, from now on.")
@_workers_option
@_retain_option
@notification_options("failure", "success", "late")
@_heartbeat_option
@limit_option
@install_options
def start(
    create: bool,
    adopt_copy: bool,
    workers: int | None,
    retain: timedelta | None,
    commands: Commands,
    heartbeat: list[str] | None,
    installing: ClientSettings,
) -> None:
    """Run what is queued and due in the store, until SIGTERM or Ctrl-C.

    A store that is not there is refused, since it may have been deleted; an empty one in its place would keep no schedule. Only the default
    store is made the first time.

    Runs that are in progress then continue; the next host of the store records their outcomes. The notification commands are for
    tasks that have none of their own.
    """
    out = common_options().output()
    _log_to_stderr(out)
    create = create or common_options().is_first_use()
    client = _open_host(workers, retain, {**installing, **commands, "heartbeat": heartbeat}, create=create)
    out.note(f"keeping the schedules of {client.path()}; Ctrl-C stops this process, not the runs")
    client.run_forever(adopt_copy=adopt_copy)


@click.command(cls=Verb, anywhere=True, short_help="Serve the page and the REST API, and keep the schedules.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=8080,
    show_default=True,
    help="Port to listen at; 0 chooses a free one.",
)
@click.option(
    "--allow-remote", is_flag=True, help="Allow a --host that other machines can reach. Anyone with the token can run any program."
)
@click.option("--also-named", multiple=True, metavar="NAME", help="Another host name of this server. Repeatable.")
@click.option(
    "--accounts", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="File of accounts that may log in with a password."
)
@click.option("--compatibility", metavar="YEAR", help="Respond like the platform of this year, whatever the client.")
@_workers_option
@_standby_option
@_retain_option
@notification_options("failure", "success", "late")
@_heartbeat_option
@limit_option
@environment_options
def serve(
    host: str,
    port: int,
    allow_remote: bool,
    also_named: tuple[str, ...],
    accounts: str | None,
    compatibility: Any,
    workers: int | None,
    standby: timedelta | None,
    retain: timedelta | None,
    commands: Commands,
    heartbeat: list[str] | None,
    installing: ClientSettings,
) -> None:
    """Serve a page and the platform's REST API for the store, and do what `start` does, until SIGTERM or Ctrl-C.

    Prints the address and the variables that the platform's SDK reads, and an address with which a browser can log in to the page once
    within ten minutes; `open` makes another. With --json: {"url", "environment", "log_in"}, on one line.
    """
    try:
        from orchlite.rest.server import serve_forever
        from orchlite.web import page
    except ModuleNotFoundError as error:
        raise server_is_missing(error, "serve") from error
    out = common_options().output()
    _log_to_stderr(out)
    settings = {**installing, **commands, "heartbeat": heartbeat}
    if standby is not None:
        settings["standby_seconds"] = standby
    client = _open_host(workers, retain, settings, create=True)
    with client:
        serve_forever(
            client,
            host=host,
            port=port,
            accounts=accounts,
            hosts=also_named,
            compatibility=compatibility,
            allow_remote=allow_remote,
            page=page(client),
            announce=lambda server: _announce(server, out),
        )


def server_is_missing(error: ModuleNotFoundError, verb: str) -> Exception:
    """Return the error of a verb for a package that the extra `server` installs; for a module of orchlite, `error` itself."""
    if error.name is None or error.name.partition(".")[0] == "orchlite":
        return error
    return BadArgument(f"{_MISSING} ({error.name}).", hint='Install them: pip install "orchlite[server]"', argument=verb)


def _announce(server: Server, out: Output) -> None:
    log_in = login_address(server.url, server.token)
    if out.as_json:
        out.json_line({"url": server.url, "environment": server.environment(), "log_in": log_in})
        return
    exports = [f"export {name}={quote(value)}" for name, value in server.environment().items()]
    out.line(
        "\n".join([server.url, *exports])
    )  # one write: a reader may close the pipe after the first line, which must not end the server
    out.note(f"log in to the page, once within ten minutes: {log_in}")
    out.note("serving; Ctrl-C stops this process, not the runs")


def _open_host(workers: int | None, retain: timedelta | None, installing: ClientSettings, *, create: bool) -> Client:
    from orchlite.core.settings import Retention

    retention = None if retain is None else Retention(runs_older_than=retain, events_older_than=max(retain, timedelta(days=90)))
    return common_options().open_client(create=create, workers=workers, retention=retention, **installing)


def _log_to_stderr(out: Output) -> None:
    from orchlite.cli.host_log import log_to_stderr  # `logging` is slow to import

    if not out.is_quiet:
        log_to_stderr()
