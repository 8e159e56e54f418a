"""Uploads: a multipart body is parsed while it arrives, and its file is written straight to its place on disk.

Starlette's form parser takes no longer, but it spools the file to the temporary folder first, accepts bodies that are cut off, and
returns a file without a name as text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from orchlite.core.errors import BadArgument, InvalidInput, StorageFull
from orchlite.core.files import is_disk_full, private_opener
from orchlite.core.settings import MEBIBYTE
from orchlite.core.sizes import size_text
from orchlite.rest.errors import HTTPError

_MAX_METADATA_BYTES = 64 * 1024
_MAX_PARTS = 100
_BUFFER_BYTES = MEBIBYTE
_UNNAMED = "_"
"""The platform's name for an upload whose file has none."""


class ReceivedUpload(NamedTuple):
    """What came with the uploaded file."""

    metadata: bytes
    file_name: str


class SizeLimit(NamedTuple):
    """The largest file that an endpoint accepts."""

    limit_bytes: int
    error: Callable[[int], InvalidInput]
    """Returns the error about a larger file, from the limit."""


async def receive(content_type: str | None, body: AsyncIterator[bytes], path: Path, limit: SizeLimit) -> ReceivedUpload:
    """Write the part `file` of a multipart body to a new file at `path`, and return the rest.

    The caller removes the file, also after an error. Memory use does not depend on the size of the file.

    Raises:
        BadArgument: the body is not a complete multipart body with the parts `file` and `metadata`.
        HTTPError: the file is larger than the limit, or the body has another type.
        StorageFull: the disk is full.
        FileExistsError: there is a file at `path`.
    """
    boundary = _boundary(content_type)
    with _errors_translated(), _written(path) as file:
        parts = _Parts(boundary, file, limit)
        async for pieces in _batches(body):
            await run_in_threadpool(parts.feed, pieces)  # writes to disk, which must not block the event loop
        upload = parts.upload()
        file.flush()
        return upload


async def _batches(body: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield the pieces of a body in lists of about 1 MiB: on a busy machine, each change of threads may take as long as the rest."""
    pieces: list[bytes] = []
    size_bytes = 0
    async for piece in body:
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes >= _BUFFER_BYTES:
            yield pieces
            pieces, size_bytes = [], 0
    yield pieces


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _malformed(f"{error!s:.200}") from error
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise StorageFull("The disk that holds the store is full.", hint="Nothing was stored; make room and try again.") from error


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    file = open(path, "xb", buffering=_BUFFER_BYTES, opener=private_opener)  # noqa: SIM115 - closed below, without a second error
    try:
        yield file
    finally:
        with suppress(OSError):  # writing what is still buffered: a complete file was flushed before
            file.close()


def _boundary(content_type: str | None) -> bytes:
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if kind.lower() != b"multipart/form-data" or not boundary:
        raise HTTPError(BadArgument("The body is not multipart/form-data.", hint="Send the parts file and metadata.", argument="body"), 415)
    return boundary


def body_description(file: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the OpenAPI document says about such a body: what the file is, and the JSON schema of the metadata."""
    metadata = _inlined(metadata, metadata.get("$defs", {}))
    content = {
        "schema": {
            "type": "object",
            "required": ["file", "metadata"],
            "properties": {"file": {"type": "string", "format": "binary", "description": file}, "metadata": metadata},
        },
        "encoding": {"file": {"contentType": "application/octet-stream"}, "metadata": {"contentType": "application/json"}},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content}}}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a JSON schema with its definitions where it refers to them: at its place in the document, the references lead nowhere."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}


class _Parts:
    """The parts of a body that arrives in pieces of any size."""

    def __init__(self, boundary: bytes, file: BinaryIO, limit: SizeLimit) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )
        self._file = file
        self._limit = limit
        self._header_name, self._header_value = b"", b""
        self._disposition = b""
        self._part_name = ""
        self._part_count = 0
        self._seen: set[str] = set()
        self._size_bytes = 0
        self._metadata = bytearray()
        self._file_name = _UNNAMED
        self._is_complete = False

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Parse the next pieces of the body."""
        for piece in filter(None, pieces):
            self._parser.write(piece)

    def upload(self) -> ReceivedUpload:
        """Return what was uploaded, after the last piece."""
        if not self._is_complete:
            raise _malformed("it is cut off")
        for name in ("file", "metadata"):
            if name not in self._seen:
                raise BadArgument(f"The upload has no part {name!r}.", hint="Send the parts file and metadata.", argument=name)
        return ReceivedUpload(bytes(self._metadata), self._file_name)

    def _begin_part(self) -> None:
        self._part_count += 1
        if self._part_count > _MAX_PARTS:
            raise _malformed(f"it has more than {_MAX_PARTS} parts")
        self._disposition, self._part_name = b"", ""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _end_headers(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        self._part_name = parameters.get(b"name", b"").decode("utf-8", "replace")
        if self._part_name not in ("file", "metadata"):
            return
        if self._part_name in self._seen:
            raise BadArgument(f"The upload has two parts {self._part_name!r}.", hint="Send one of each.", argument=self._part_name)
        self._seen.add(self._part_name)
        if self._part_name == "file":
            self._file_name = parameters.get(b"filename", b"").decode("utf-8", "replace") or _UNNAMED

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part_name == "metadata":
            self._metadata += data[start:end]
            if len(self._metadata) > _MAX_METADATA_BYTES:
                raise BadArgument(
                    f"metadata has more than {size_text(_MAX_METADATA_BYTES)}.", hint="Send a small JSON object.", argument="metadata"
                )
        elif self._part_name == "file":
            self._size_bytes += end - start
            if self._size_bytes > self._limit.limit_bytes:
                raise HTTPError(self._limit.error(self._limit.limit_bytes), 413)
            self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._is_complete = True


def _malformed(reason: str) -> BadArgument:
    return BadArgument(f"The upload is not a multipart body: {reason}.", hint="Send the parts file and metadata.", argument="body")
