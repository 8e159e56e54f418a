"""Receiving an upload: a multipart body, read piece by piece, its file written straight to disk, and never more than may come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from orchlite.core.errors import BadArgument, BadBundle, StorageFull
from orchlite.core.files import is_disk_full
from orchlite.core.settings import MEBIBYTE
from orchlite.rest.errors import Refused

_METADATA_BYTES = 64 * 1024
_PARTS = 100
_BUFFER_BYTES = MEBIBYTE
_NAMELESS = "_"
"""What the platform calls an upload whose file has no name."""


class Received(NamedTuple):
    """What an upload was made of; its file lies where it was to be written."""

    metadata: bytes
    file_name: str


async def receive(content_type: str | None, body: AsyncIterator[bytes], path: Path, limit_bytes: int) -> Received:
    """Write the part `file` of the body to a new file at `path`, which the caller removes, whatever happens.

    Raises:
        BadArgument: the body is no whole multipart body with `file` and `metadata`.
        Refused: the file is over the limit.
        StorageFull: the disk has no room for it.
    """
    boundary = _boundary(content_type)
    with _disk_may_be_full():
        receiver = _Receiver(boundary, path, limit_bytes)
        try:
            async for piece in body:
                await run_in_threadpool(receiver.feed, piece)  # a disk may be slow, and the loop has others to serve
            return receiver.received()
        except FormParserError as error:
            raise _malformed(f"{error!s:.200}") from error
        finally:
            receiver.close()


@contextmanager
def _disk_may_be_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise StorageFull("The disk that holds the store is full.", hint="Nothing was stored; make room and try again.") from error


def _boundary(content_type: str | None) -> bytes:
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if kind.lower() != b"multipart/form-data" or not boundary:
        raise Refused(BadArgument("The body is no multipart/form-data.", hint="Send the parts file and metadata.", argument="body"), 415)
    return boundary


class _Receiver:
    """Takes the pieces of a body as they come, in any sizes."""

    def __init__(self, boundary: bytes, path: Path, limit_bytes: int) -> None:
        self._file = path.open("xb", buffering=_BUFFER_BYTES)
        self._limit_bytes = limit_bytes
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )
        self._field, self._value = b"", b""
        self._disposition = b""
        self._name = ""
        self._parts = 0
        self._seen: set[str] = set()
        self._size_bytes = 0
        self._metadata = bytearray()
        self._file_name = _NAMELESS
        self._is_whole = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        if piece:
            self._parser.write(piece)

    def received(self) -> Received:
        """What has come, when all has come."""
        if not self._is_whole:
            raise _malformed("it is cut off")
        for name in ("file", "metadata"):
            if name not in self._seen:
                raise BadArgument(f"The upload has no part {name!r}.", hint="Send the parts file and metadata.", argument=name)
        self._file.flush()
        return Received(bytes(self._metadata), self._file_name)

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):  # a full disk, of what was not written yet: what is whole was flushed before
            self._file.close()

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _PARTS:
            raise _malformed(f"it has more than {_PARTS} parts")
        self._disposition, self._name = b"", ""

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _end_headers(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        self._name = parameters.get(b"name", b"").decode("utf-8", "replace")
        if self._name not in ("file", "metadata"):
            return
        if self._name in self._seen:
            raise BadArgument(f"The upload has two parts {self._name!r}.", hint="Send one of each.", argument=self._name)
        self._seen.add(self._name)
        if self._name == "file":
            self._file_name = parameters.get(b"filename", b"").decode("utf-8", "replace") or _NAMELESS

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "metadata":
            self._metadata += data[start:end]
            if len(self._metadata) > _METADATA_BYTES:
                raise BadArgument(f"metadata has more than {_METADATA_BYTES} bytes.", hint="It takes a small object.", argument="metadata")
        elif self._name == "file":
            self._size_bytes += end - start
            if self._size_bytes > self._limit_bytes:
                raise Refused(_too_large(self._limit_bytes), 413)
            self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._is_whole = True


def _too_large(limit_bytes: int) -> BadBundle:
    return BadBundle(
        f"The bundle has more than {limit_bytes} bytes, which is the limit.",
        hint="Leave large data out and fetch it in main.py, or raise Limits(upload_bytes=...).",
        limit_bytes=limit_bytes,
    )


def _malformed(why: str) -> BadArgument:
    return BadArgument(f"The upload is no multipart body: {why}.", hint="Send the parts file and metadata.", argument="body")
