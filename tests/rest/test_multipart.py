"""Multipart bodies, in pieces of any size and on a full disk."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal

from orchlite.core.errors import BadBundle, StorageFull
from orchlite.rest.errors import HTTPError
from orchlite.rest.multipart import ReceivedUpload, SizeLimit, receive

_TYPE = 'multipart/form-data; boundary="b"'
_CONTENT = b"PK\r\n--a almost\r\n-\r\n--"
_BODY = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a b.zip"\r\nContent-Type: application/octet-stream\r\n\r\n'
    + _CONTENT
    + b'\r\n--b\r\nContent-Disposition: form-data; name="odd"\r\n\r\nignored'
    + b'\r\n--b\r\ncontent-disposition: form-data; name="metadata"; filename="metadata"\r\n\r\n{}\r\n--b--\r\n'
)


def _too_large(limit_bytes: int) -> BadBundle:
    return BadBundle(f"more than {limit_bytes} bytes")


def _received(portal: BlockingPortal, pieces: Iterable[bytes], path: Path, limit_bytes: int = 2**20) -> ReceivedUpload:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def call() -> ReceivedUpload:
        return await receive(_TYPE, body(), path, SizeLimit(limit_bytes, _too_large))

    found: ReceivedUpload = portal.call(call)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(_BODY)])
def test_a_body_may_be_split_anywhere(portal: BlockingPortal, tmp_path: Path, size: int) -> None:
    path = tmp_path / "received"
    pieces = [_BODY[start : start + size] for start in range(0, len(_BODY), size)]
    assert _received(portal, [b"", *pieces, b""], path) == ReceivedUpload(b"{}", "a b.zip")
    assert path.read_bytes() == _CONTENT


def test_a_body_is_parsed_a_mebibyte_at_a_time(portal: BlockingPortal, tmp_path: Path) -> None:
    taken = []

    def pieces() -> Iterator[bytes]:
        yield _BODY.split(_CONTENT)[0]
        for number in range(64):
            taken.append(number)
            yield bytes(65536)

    with pytest.raises(HTTPError):
        _received(portal, pieces(), tmp_path / "received", limit_bytes=1)
    assert len(taken) == 16


def test_an_existing_file_is_never_overwritten(portal: BlockingPortal, tmp_path: Path) -> None:
    path = tmp_path / "received"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        _received(portal, [_BODY], path)
    assert path.read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_is_reported(portal: BlockingPortal, small_disk: Path) -> None:
    head, tail = _BODY.split(_CONTENT)
    with pytest.raises(StorageFull, match="Nothing was stored"):
        _received(portal, [head, *[b"x" * 10_000] * 300, tail], small_disk / "received", 2**30)
