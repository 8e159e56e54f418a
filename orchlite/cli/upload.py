"""The verb `upload`, and what `run` and `schedule` share with it: uploading bundles and packaging them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import orchestration_json
from orchlite.cli.lookup import newest_upload, way_to_run
from orchlite.cli.options import Verb, absolute_path, common_options
from orchlite.cli.output import Output
from orchlite.cli.run_options import Source, source_options
from orchlite.core.clock import SystemClock
from orchlite.core.durations import seconds_text
from orchlite.core.errors import BadArgument, NotFound
from orchlite.core.text import counted, one_line, short_id

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration

_PACKAGED = ("ready", "error")


@click.command(cls=Verb, short_help="Upload a folder or a ZIP, and build its environment.")
@click.argument("path", type=click.Path(exists=True))
@click.option("--name", metavar="NAME", help="Name of the orchestration.  [default: that of the folder or file]")
@click.option("--refresh", is_flag=True, help="Build the environment again, even if there is one.")
@source_options
def upload(path: str, name: str | None, refresh: bool, source: Source) -> None:
    """Upload PATH, a folder or a ZIP, build its environment, and print the id of the orchestration.

    If the workspace already has the same bytes, that orchestration is used.
    """
    out = common_options().output()
    client = common_options().open_client(create=True, **source.settings)
    with closing(client, out):
        orchestration = packaged(client, path, source, out, name=name, refresh=refresh)
        out.json(orchestration_json(orchestration)) if out.as_json else out.line(orchestration.id())


def packaged(client: Client, word: str, source: Source, out: Output, *, name: str | None = None, refresh: bool = False) -> Orchestration:
    """Upload a path, or find an orchestration by id or name, and block until it is packaged. Warnings of a new upload are printed.

    Raises:
        BadBundle: the bundle is invalid.
        BadRequirement: its requirements are invalid.
        BadArgument: an option is invalid.
        NotFound: there is no such path, and no such orchestration.
        Ambiguous: the ids of several orchestrations begin like this.
        PackagingFailed: its environment could not be built.
        OrchliteError: as `Client.upload_orchestration` raises.
    """
    began_at = SystemClock().now()
    orchestration = _wait_until_packaged(_uploaded(client, word, source.exclude, out, name=name, refresh=refresh), out)
    if orchestration.created_at() >= began_at:
        _print_warnings(orchestration, out)
    return orchestration


def _uploaded(client: Client, word: str, exclude: tuple[str, ...], out: Output, *, name: str | None, refresh: bool) -> Orchestration:
    """Upload a path, unless the workspace has the same bytes, or find an orchestration by id or name."""
    path = absolute_path(Path(word))
    if not path.exists():
        if exclude or refresh or name is not None:
            raise BadArgument(f"There is no file or folder {word!r:.200}.", hint="Give the path of a folder or a ZIP.", argument="path")
        return _existing(client, word, out)
    label = name or one_line(path.stem).strip() or None
    with out.busy(f"packing and uploading {word}"):
        return client.upload_orchestration(path=path, name=label, exclude=exclude, refresh=refresh, reuse=True)


@contextmanager
def open_packaged(word: str, source: Source, out: Output) -> Iterator[tuple[Client, Orchestration]]:
    """Open the store and yield its client and the orchestration that `packaged` returns. Close the client as its `with` does.

    Raises:
        OrchliteError: as `packaged` raises.
    """
    client = common_options().open_client(create=True, **source.settings)
    with closing(client, out):
        yield client, packaged(client, word, source, out)


def _wait_until_packaged(orchestration: Orchestration, out: Output) -> Orchestration:
    """Block until the orchestration is packaged, and show the installer's output meanwhile."""
    if orchestration.status() in _PACKAGED:
        return orchestration.wait()
    clock = SystemClock()
    began_at = clock.monotonic()
    lines = len(orchestration.requirements())
    if lines:
        out.note(f"packaging {short_id(orchestration.id())}: {counted(lines, 'line')} of requirements")
    with out.busy("packaging") as busy:
        for line in orchestration.task().last_runs()[0].logs(follow=True):
            busy.update(f"packaging: {line.text.strip()}")
        orchestration.wait()
    if lines:
        taken = seconds_text(clock.monotonic() - began_at)
        out.note(f"the environment is ready, with {counted(len(orchestration.installed()), 'package')}, after {taken}")
    return orchestration


def _print_warnings(orchestration: Orchestration, out: Output) -> None:
    """Print the warnings of upload and packaging, except about junk that was left out."""
    for warning in notable_warnings(orchestration.warnings()):
        out.note(f"warning: {one_line(warning)}")


def notable_warnings(warnings: Iterable[str]) -> Iterator[str]:
    """Yield the warnings, except about junk that was left out, which only `check` mentions."""
    from orchlite.core.records import JunkWarning

    return (warning for warning in warnings if not isinstance(warning, JunkWarning))


@contextmanager
def closing(client: Client, out: Output) -> Iterator[None]:
    """Close the client at the end of the block as its `with` does, with a spinner."""
    try:
        yield
    except BaseException:
        client.close(drain=False)
        raise
    with out.busy("finishing"):
        client.close()


def _existing(client: Client, word: str, out: Output) -> Orchestration:
    try:
        return newest_upload(client, word, out)
    except NotFound as error:
        message = f"There is no file or folder {word!r:.200}, and no orchestration with this name or id."
        raise NotFound(message, hint=way_to_run(client, word) or "`orchlite orchestrations` lists them.", word=word) from error
