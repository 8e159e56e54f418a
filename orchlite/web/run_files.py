"""The files that a run made: a list, what is in one, and its bytes. The browser executes none of them, whatever they contain."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from starlette.responses import Response, StreamingResponse

from orchlite.client.task_run import TaskRun
from orchlite.core.errors import BadBundle, NotFound
from orchlite.operations import workdirs
from orchlite.web.file_previews import PICTURE_BYTES, READ_BYTES, picture_type, preview
from orchlite.web.found_runs import found_run
from orchlite.web.visit import Visit, page

_LISTED = 200
_LISTED_CHARACTERS = 4_000
"""How long the listed names are, all in all."""
_BLOCK_BYTES = 256 * 1024
_HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
"""For a file's bytes: no script runs, nothing is loaded, and the origin is another one than this server's."""
_PLAIN = re.compile(r"[^\w. -]", re.ASCII)


class RunFile(NamedTuple):
    """A file that a run made."""

    name: str
    """Its path in the working folder."""
    address: str
    size_bytes: int


class RunFiles(NamedTuple):
    """The files that a run made, by name."""

    shown: list[RunFile]
    more: int
    """The number of those that are not shown."""


def run_files(visit: Visit, run: TaskRun) -> RunFiles:
    """Return the files of a run; none if its bundle, with which they are compared, is damaged."""
    try:
        folder, names = workdirs.changed_files(visit.engine.context, run.id())
    except (BadBundle, OSError):
        return RunFiles([], 0)
    shown: list[RunFile] = []
    for name in names[:_LISTED]:
        if shown and sum(len(file.name) for file in shown) > _LISTED_CHARACTERS:
            break
        try:
            size_bytes = os.lstat(folder / name).st_size
        except OSError:  # removed meanwhile
            continue
        shown.append(RunFile(str(name), file_address(run.id(), str(name)), size_bytes))
    return RunFiles(shown, len(names) - len(shown))


def file_address(run_id: str, name: str) -> str:
    """Return the address of the page of a file."""
    return f"/runs/{run_id}/files/{quote(os.fsencode(name))}"


def _show(visit: Visit) -> Response:
    run = found_run(visit)
    name = _name(visit)
    match visit.query("as"):
        case "download":
            return _download(visit, run, name)
        case "picture":
            return _picture(visit, run, name)
    with _opened(visit, run, name) as file:
        size_bytes = os.fstat(file).st_size
        shown = preview(name, os.pread(file, READ_BYTES, 0), size_bytes)
    address = file_address(run.id(), name)
    return visit.render("file.html", run=run, name=name, address=address, size_bytes=size_bytes, preview=shown)


def _name(visit: Visit) -> str:
    """Return the name in the address, whose bytes need not be UTF-8."""
    return os.fsdecode(unquote_to_bytes(visit.request.scope["raw_path"].partition(b"/files/")[2]))


@contextmanager
def _opened(visit: Visit, run: TaskRun, name: str) -> Iterator[int]:
    file = workdirs.open_file(visit.engine.context, run.id(), name)
    try:
        yield file
    finally:
        os.close(file)


def _download(visit: Visit, run: TaskRun, name: str) -> Response:
    # An object, which is closed also if the reader has gone before the first block.
    file = FileIO(workdirs.open_file(visit.engine.context, run.id(), name))
    size_bytes = os.fstat(file.fileno()).st_size
    last = name.rpartition("/")[2]
    headers = {
        **_HEADERS,
        "Content-Length": str(size_bytes),
        # RFC 6266: a name in ASCII for old browsers, and the real one.
        "Content-Disposition": f"attachment; filename=\"{_PLAIN.sub('_', last)}\"; filename*=UTF-8''{quote(os.fsencode(last), safe='')}",
    }
    return StreamingResponse(_blocks(file, size_bytes), media_type="application/octet-stream", headers=headers)


def _picture(visit: Visit, run: TaskRun, name: str) -> Response:
    with _opened(visit, run, name) as file:
        size_bytes = os.fstat(file).st_size
        media_type = picture_type(os.pread(file, READ_BYTES, 0))
        if media_type is None or size_bytes > PICTURE_BYTES:
            raise NotFound(f"{name!r:.80} is not shown as a picture.", run_id=run.id())
        return Response(os.pread(file, size_bytes, 0), media_type=media_type, headers=_HEADERS)


def _blocks(file: FileIO, size_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of a file, no more than it had at first, and close it."""
    with file:
        while size_bytes > 0 and (block := file.read(min(_BLOCK_BYTES, size_bytes))):
            yield block
            size_bytes -= len(block)


ROUTES = [page("/runs/{run_id}/files/{name:path}", _show)]
