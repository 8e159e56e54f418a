"""The verb `upload`, and what `run` and `schedule` share with it: taking bundles in, and showing how their environments are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.json_models import orchestration_shape
from orchlite.cli.lookup import orchestration_of
from orchlite.cli.options import Verb, setting, whole_path
from orchlite.cli.output import Output, counted, one_line, seconds_text, short
from orchlite.cli.run_options import Source, takes_source
from orchlite.core.clock import SystemClock
from orchlite.core.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.orchestration import Orchestration

_OVER = ("ready", "error")
_LEFT_OUT = "left out of the bundle: "
_DESKTOPS = "Skipped, as left by a desktop system"
_NEVER_WANTED = re.compile(
    r"__pycache__|.*\.pyc|\..*_cache|\.cache|\.hypothesis|\.ipynb_checkpoints|\.coverage|\.tox|\.nox"
    r"|\.git|\.gitignore|\.gitattributes|\.github|\.hg|\.svn|\.idea|\.vscode|\.?venv|node_modules|\.DS_Store|\._.*|__MACOSX|Thumbs\.db"
)
"""What lies about in folders and is no part of any program. `check` lists it all the same."""


@click.command(cls=Verb, short_help="Upload a folder or a ZIP, and make its environment.")
@click.argument("path", type=click.Path(exists=True))
@click.option("--name", help="A name for it; that of the folder or file by default.")
@click.option("--refresh", is_flag=True, help="Build its environment anew, even where there is one.")
@takes_source
def upload(path: str, name: str | None, refresh: bool, source: Source) -> None:
    """Upload PATH, a folder or a ZIP, make its environment, and print the id of the orchestration.

    Bytes that the workspace has already give the orchestration that there is.
    """
    out = setting().output()
    client = setting().opened(create=True, **source.settings)
    with busy_closing(client, out):
        orchestration = prepared(client, path, source, out, name=name, refresh=refresh)
        out.json(orchestration_shape(orchestration)) if out.as_json else out.line(orchestration.id())


def prepared(client: Client, word: str, source: Source, out: Output, *, name: str | None = None, refresh: bool = False) -> Orchestration:
    """The orchestration that a path or a word means, packaged. What an upload noticed is told once: where its bytes are new here.

    Raises:
        BadBundle, BadRequirement, BadArgument: the bundle is refused.
        NotFound, Ambiguous: there is no such path, and the word means no orchestration, or several.
        PackagingFailed: its environment could not be made.
    """
    began_at = SystemClock().now()
    orchestration = _packaged(_taken_in(client, word, source.exclude, out, name=name, refresh=refresh), out)
    if orchestration.created_at() >= began_at:
        _say_warnings(orchestration, out)
    return orchestration


def _taken_in(client: Client, word: str, exclude: tuple[str, ...], out: Output, *, name: str | None, refresh: bool) -> Orchestration:
    """The orchestration that a path or a word means; bytes that the workspace has already are not uploaded again."""
    path = whole_path(Path(word))
    if not path.exists():
        if exclude or refresh or name is not None:
            raise BadArgument(f"There is no file or folder {word!r:.200}.", hint="Give the path of a folder or of a ZIP.", argument="path")
        return _known(client, word)
    label = name or one_line(path.stem).strip() or None
    with out.busy(f"packing and uploading {word}"):
        return client.upload_orchestration(path=path, name=label, exclude=exclude, refresh=refresh, reuse=True)


@contextmanager
def ready(word: str, source: Source, out: Output) -> Iterator[tuple[Client, Orchestration]]:
    """The store, opened, and in it, packaged, the orchestration that a path or a word means. The client is left as its `with` does.

    Raises:
        as `prepared`.
    """
    client = setting().opened(create=True, **source.settings)
    with busy_closing(client, out):
        yield client, prepared(client, word, source, out)


def _packaged(orchestration: Orchestration, out: Output) -> Orchestration:
    """Wait until it is ready, and show meanwhile what the installer says."""
    if orchestration.status() in _OVER:
        return orchestration.wait()
    clock = SystemClock()
    began = clock.monotonic()
    lines = len(orchestration.requirements())
    if lines:
        out.note(f"packaging {short(orchestration.id())}: {counted(lines, 'line')} of requirements")
    with out.busy("packaging") as busy:
        for line in orchestration.task().last_runs()[0].logs(follow=True):
            busy.update(f"packaging: {line.text.strip()}")
        orchestration.wait()
    if lines:
        taken = seconds_text(clock.monotonic() - began)
        out.note(f"the environment is ready, with {counted(len(orchestration.installed()), 'package')}, after {taken}")
    return orchestration


def _say_warnings(orchestration: Orchestration, out: Output) -> None:
    """Note what was noticed at upload and while packaging, but for what was left out and is never wanted."""
    for warning in worth_telling(orchestration.warnings()):
        out.note(f"warning: {one_line(warning)}")


def worth_telling(warnings: Iterable[str]) -> Iterator[str]:
    """The warnings without those about what was left out and is never wanted."""
    for warning in warnings:
        is_left_out, path = warning.startswith(_LEFT_OUT), warning.removeprefix(_LEFT_OUT).rstrip("/")
        is_never_wanted = is_left_out and _NEVER_WANTED.fullmatch(path.rpartition("/")[2])
        if not (is_never_wanted or warning.startswith(_DESKTOPS)):
            yield warning


@contextmanager
def busy_closing(client: Client, out: Output) -> Iterator[None]:
    """Leave a client as its `with` does, with a spinner where that takes a while."""
    try:
        yield
    except BaseException:
        client.close(drain=False)
        raise
    with out.busy("finishing"):
        client.close()


def _known(client: Client, word: str) -> Orchestration:
    try:
        return orchestration_of(client, word)
    except NotFound as error:
        message = f"There is no file or folder {word!r:.200}, and no orchestration that it is the name or the id of."
        raise NotFound(message, hint="`orchlite orchestrations` lists them.", word=word) from error
