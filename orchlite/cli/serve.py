"""Verbs that host a store in the foreground: `start` keeps its schedules, `serve` also serves page and REST API, `open` shows the page."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.login_address import login_address, open_in_browser
from orchlite.cli.options import Duration, ShellCommand, Verb, common_options, limit_option
from orchlite.cli.output import Output
from orchlite.cli.ray_options import ray_options
from orchlite.cli.run_options import ClientSettings, Commands, environment_options, install_options, notification_options
from orchlite.core.errors import BadArgument, Conflict

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.ray import RayJobs
    from orchlite.rest.server import Server

_PORT = 8080
_STOPS = "serving; Ctrl-C stops this process, not the runs"
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
_preload_option = click.option(
    "--preload", multiple=True, metavar="MODULE", help="Module that a run which is kept ready has imported already. Repeatable."
)
_retain_option = click.option("--retain", type=Duration(), help="Prune once a day what ended longer ago than this.  [default: no pruning]")
_heartbeat_option = click.option(
    "--heartbeat", type=ShellCommand(), help="Shell command to run once a minute while schedules are kept: a dead man's switch."
)

_read_only_option = click.option("--read-only", is_flag=True, help="Refuse what changes something, on the page and over REST.")


@click.command(cls=Verb, anywhere=True, short_help="Keep the store's schedules until Ctrl-C.")
@click.option("--create", is_flag=True, help="Make an empty store if there is none.")
@click.option("--adopt-copy", is_flag=True, help="Keep the schedules of a store that was copied, from now on.")
@_workers_option
@_retain_option
@notification_options("failure", "success", "late")
@_heartbeat_option
@ray_options
@limit_option
@install_options
def start(
    create: bool,
    adopt_copy: bool,
    workers: int | None,
    retain: timedelta | None,
    commands: Commands,
    heartbeat: list[str] | None,
    engine: RayJobs | None,
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
    client = _open_host(workers, retain, {**installing, **commands, "heartbeat": heartbeat, "engine": engine}, create=create)
    out.note(f"keeping the schedules of {client.path()}; Ctrl-C stops this process, not the runs")
    client.run_forever(adopt_copy=adopt_copy)


@click.command(cls=Verb, anywhere=True, short_help="Serve the page and the REST API, and keep the schedules.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=_PORT,
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
@_read_only_option
@_workers_option
@_standby_option
@_preload_option
@_retain_option
@notification_options("failure", "success", "late")
@_heartbeat_option
@ray_options
@limit_option
@environment_options
def serve(
    host: str,
    port: int,
    allow_remote: bool,
    also_named: tuple[str, ...],
    accounts: str | None,
    compatibility: Any,
    read_only: bool,
    workers: int | None,
    standby: timedelta | None,
    preload: tuple[str, ...],
    retain: timedelta | None,
    commands: Commands,
    heartbeat: list[str] | None,
    engine: RayJobs | None,
    installing: ClientSettings,
) -> None:
    """Serve a page and the platform's REST API for the store, and do what `start` does, until SIGTERM or Ctrl-C.

    Prints the address and the variables that the platform's SDK reads, and an address with which a browser can log in to the page once
    within ten minutes; `open` makes another. With --json: {"url", "environment", "log_in"}, on one line.
    """
    out = common_options().output()
    settings = {**installing, **commands, "heartbeat": heartbeat, "preload": preload, "engine": engine}
    if standby is not None:
        settings["standby_seconds"] = standby
    addresses = {"host": host, "port": port, "hosts": also_named, "allow_remote": allow_remote}
    with _serving(workers, retain, settings, out) as serve_forever:
        serve_forever(
            **addresses,
            accounts=accounts,
            compatibility=compatibility,
            read_only=read_only,
            announce=lambda server: _announce(server, out),
        )


@click.command("open", cls=Verb, anywhere=True, short_help="Show the page in a browser.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@_read_only_option
def open_page(no_browser: bool, read_only: bool) -> None:
    """Open the page of the store in a browser, logged in. If nothing serves the store, serve it until Ctrl-C, as `serve` does.

    The address that it prints is good for one log-in within ten minutes. With --json, print {"url", "log_in"}.
    """
    from orchlite.core import served_stores

    out, path = common_options().output(), common_options().store_folder().path
    if (served := served_stores.find(path)) is None:
        with _serving(None, None, {}, out) as serve_forever:
            serve_forever(port=_free_port(), read_only=read_only, announce=partial(_show_own, no_browser, out))
        return
    if read_only:
        message = f"The store is served at {served.url} already, so that --read-only has no effect."
        raise Conflict(message, hint="Stop that server first, or leave out --read-only.", url=served.url)
    with _needing_the_extra("open"):
        from orchlite.rest.credentials import ensure_token
    _show(served.url, ensure_token(Path(served.credentials), None), no_browser, out)


def _show_own(no_browser: bool, out: Output, server: Server) -> None:
    _show(server.url, server.token, no_browser, out)
    out.note(_STOPS)


def _show(url: str, token: str, no_browser: bool, out: Output) -> None:
    """Open the page in a browser if there may be one, and print the address of a log-in in any case."""
    has_opened = not no_browser and open_in_browser(common_options().store_folder().path, login_address(url, token))
    log_in = login_address(url, token)
    out.json_line({"url": url, "log_in": log_in}) if out.as_json else out.line(log_in)
    out.note("opened in the browser; if that shows nothing, open the address above" if has_opened else "open this address in a browser")


def _free_port() -> int:
    """Return the port that `serve` takes by default; 0, which chooses a free one, if that is in use."""
    import socket

    try:
        with socket.create_server(("127.0.0.1", _PORT)):
            return _PORT
    except OSError:
        return 0


@contextmanager
def _needing_the_extra(verb: str) -> Iterator[None]:
    """Say what to install if a package of the extra `server` is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise server_is_missing(error, verb) from error


@contextmanager
def _serving(workers: int | None, retain: timedelta | None, settings: ClientSettings, out: Output) -> Iterator[Callable[..., None]]:
    """Open the store as a host, and yield a function that serves it with its page until a signal arrives."""
    with _needing_the_extra("serve"):
        from orchlite.rest.server import serve_forever
        from orchlite.web import page
    _log_to_stderr(out)

    def serve_page(announce: Callable[[Server], None], **addresses: Any) -> None:
        def announced(server: Server) -> None:
            gc.freeze()  # the process is ours: a full collection would examine modules and routes, which stay, for 50 ms each time
            announce(server)

        serve_forever(client, page=page(client), announce=announced, **addresses)

    with _open_host(workers, retain, settings, create=True) as client:
        yield serve_page


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
    # One write: a reader may close the pipe after the first line, which must not end the server.
    out.line("\n".join([server.url, *exports]))
    out.note(f"the page, for one log-in within ten minutes: {log_in}")
    out.note(_STOPS)


def _open_host(workers: int | None, retain: timedelta | None, installing: ClientSettings, *, create: bool) -> Client:
    from orchlite.core.settings import Retention

    retention = None if retain is None else Retention(runs_older_than=retain, events_older_than=max(retain, timedelta(days=90)))
    return common_options().open_client(create=create, workers=workers, retention=retention, **installing)


def _log_to_stderr(out: Output) -> None:
    from orchlite.cli.host_log import log_to_stderr  # `logging` is slow to import

    if not out.is_quiet:
        log_to_stderr()
