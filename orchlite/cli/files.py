"""The verbs `files` and `get`: what a run has left in its working folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName
from orchlite.cli.options import Verb
from orchlite.core.errors import Conflict, NotFound
from orchlite.core.files import copy_file, is_folder, remove_on_error, tree_size
from orchlite.core.sizes import size_text
from orchlite.core.system_errors import device_error
from orchlite.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orchlite.client.client import Client
    from orchlite.client.task_run import TaskRun

_RUN = IdOrName("runs", "tasks", "orchestrations", killed=True)


@click.command(cls=Verb, short_help="List the files that a run made.")
@click.argument("word", metavar="ID", type=_RUN)
def files(word: str) -> None:
    """List the files that a run created or changed in its working folder.

    ID is a run, or a task or an orchestration for its newest run. With --json, a file is {"name", "path", "size_bytes"}.
    """
    with open_store() as (client, out):
        _, found = _files_of(client, client.get_task_run(word))
        if out.as_json:
            out.json([{"name": name, "path": str(path), "size_bytes": _size_bytes(path)} for name, path in found.items()])
        elif found:
            out.table(("file", "size"), [(name, size_text(_size_bytes(path))) for name, path in found.items()])
        else:
            out.note("none found")


@click.command(cls=Verb, short_help="Copy the files that a run made.")
@click.argument("word", metavar="ID", type=_RUN)
@click.argument("words", metavar="[FILE]... [FOLDER]", nargs=-1)
@click.option("--force", is_flag=True, help="Replace existing files.")
def get(word: str, words: tuple[str, ...], force: bool) -> None:
    """Copy files that a run made into FOLDER, by default the current folder. FILE... selects some; the default is all.

    ID is a run, or a task or an orchestration for its newest run. The last word is FOLDER if the run has no file of that
    name, and it is an existing folder or ends with a slash.
    """
    with open_store() as (client, out):
        run = client.get_task_run(word)
        work, found = _files_of(client, run)
        names, folder = (words[:-1], Path(words[-1])) if _ends_with_folder(words, found) else (words, Path())
        chosen = [found.get(name) or run.file(name) for name in names or found]
        sources = {folder / path.relative_to(work): path for path in chosen}
        if not sources:
            raise NotFound(f"Run {run.id()} has left no file.", run_id=run.id())
        _copy_all(sources, overwrite=force)
        if out.as_json:
            out.json(list(map(str, sources)))
        else:
            out.note(f"{counted(len(sources), 'file')} copied to {str(folder.absolute())!r}")


def _size_bytes(path: Path) -> int:
    return tree_size(path).apparent_bytes  # 0 if it was removed meanwhile


def _ends_with_folder(words: Sequence[str], found: Collection[str]) -> bool:
    return bool(words) and words[-1] not in found and (words[-1].endswith("/") or is_folder(words[-1]))


def _files_of(client: Client, run: TaskRun) -> tuple[Path, dict[str, Path]]:
    """Return the run's working folder, and the paths of its files by their names relative to it."""
    from orchlite.client.client import engine_of
    from orchlite.operations import workdirs

    folder, names = workdirs.changed_files(engine_of(client).context, run.id())
    return folder, {str(name): folder / name for name in names}


def _copy_all(sources: dict[Path, Path], *, overwrite: bool) -> None:
    """Copy each source to its target. If a target exists and must not be replaced, copy nothing."""
    existing = [target for target in sources if os.path.lexists(target)]
    if existing and not overwrite:
        raise Conflict(f"{str(existing[0])!r} exists already; nothing was copied.", hint="--force replaces it.", path=str(existing[0]))
    for target, source in sources.items():
        written = target.with_name(f".{uuid.uuid4()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with remove_on_error(written):
                copy_file(source, written)
                written.replace(target)
        except OSError as error:
            raise device_error(error, f"{str(source)!r} cannot be copied to {str(target)!r}") from error
