"""The verbs that stay: `start` keeps a store's schedules in the foreground, `serve` does so and answers the REST API besides."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.options import Duration, Verb, setting
from orchlite.cli.output import Output, time_text
from orchlite.cli.run_options import ClientSettings, takes_installing
from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.rest.server import Server

_MISSING = "The server needs packages that are not installed"
_ID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_workers_option = click.option("--workers", type=click.IntRange(1), help="How many runs go on at once; the number of cores by default.")
_retain_option = click.option("--retain", type=Duration(), help="Prune once a day what was over so long ago; nothing by default.")


@click.command(cls=Verb, short_help="Keep the store's schedules, until Ctrl-C.")
@_workers_option
@_retain_option
@takes_installing
def start(workers: int | None, retain: timedelta | None, installing: ClientSettings) -> None:
    """Run what is queued and due in the store, until SIGTERM or Ctrl-C. Runs go on then, and the next host records their ends."""
    out = setting().output()
    _log_to_stderr(out)
    client = _hosting(workers, retain, installing)
    out.note(f"keeping the schedules of {client.path()}; Ctrl-C ends this, and not what runs")
    client.run_forever()


@click.command(cls=Verb, short_help="Do that, and serve the platform's REST API.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 has the system choose.")
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines reach. Who has the token can run any program.")
@click.option("--also-named", multiple=True, metavar="NAME", help="A name under which it is reached, too. Repeatable.")
@click.option("--accounts", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Who may log in by name and password.")
@click.option("--compatibility", metavar="YEAR", help="Answer like the platform of that year, whoever asks.")
@_workers_option
@_retain_option
@takes_installing
def serve(
    host: str,
    port: int,
    allow_remote: bool,
    also_named: tuple[str, ...],
    accounts: str | None,
    compatibility: Any,
    workers: int | None,
    retain: timedelta | None,
    installing: ClientSettings,
) -> None:
    """Serve the platform's REST API over the store, and do what `start` does. With --json, prints {"url", "environment"} first."""
    try:
        from orchlite.rest.server import serve_forever
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "orchlite":
            raise
        raise BadArgument(f"{_MISSING} ({error.name}).", hint='Install them: pip install "orchlite[server]"', argument="serve") from error
    out = setting().output()
    _log_to_stderr(out)
    client = _hosting(workers, retain, installing)
    with client:
        serve_forever(
            client,
            host=host,
            port=port,
            accounts=accounts,
            hosts=also_named,
            compatibility=compatibility,
            allow_remote=allow_remote,
            announce=lambda server: _announce(server, out),
        )


def _announce(server: Server, out: Output) -> None:
    if out.as_json:
        out.json_line({"url": server.url, "environment": server.environment()})
        return
    exports = [f"export {name}={quote(value)}" for name, value in server.environment().items()]
    out.line("\n".join([server.url, *exports]))  # in one write: a reader that closes the pipe after the first line does not end the server
    out.note("serving; Ctrl-C ends this, and not what runs")


def _hosting(workers: int | None, retain: timedelta | None, installing: ClientSettings) -> Client:
    from orchlite.core.settings import Retention

    retention = None if retain is None else Retention(runs_older_than=retain, events_older_than=max(retain, timedelta(days=90)))
    return setting().opened(create=True, workers=workers, retention=retention, **installing)


class _Lines(logging.Formatter):
    """A line for a person: when, on this machine's clock, a warning as such, ids cut as in tables."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        level = f"{record.levelname} " if record.levelno >= logging.WARNING else ""
        who = "" if record.name.startswith("orchlite") else f"{record.name}: "
        text = _ID.sub(r"\1", record.message)
        return f"{time_text(datetime.fromtimestamp(record.created, UTC))} {level}{who}{text}"


def _log_to_stderr(out: Output) -> None:
    """What the library has to say, for the journal of whatever keeps this process."""
    if not out.is_quiet:
        lines = logging.StreamHandler()
        lines.setFormatter(_Lines())
        logging.basicConfig(level=logging.WARNING, handlers=[lines])
        logging.getLogger("orchlite").setLevel(logging.INFO)
