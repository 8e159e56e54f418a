"""The structure of a ZIP, read from bytes: its end, its directory, its local headers, the content of its entries.

Pure: bytes come through a function that the caller gives. Only the layout is judged here: the file must be exactly its entries, one
behind the other from the first byte, then the directory, then the end, and whatever is said twice must agree. So no two readers can
see two different bundles in one file, and no entry can share bytes with another. What the entries may be is for other rooms.

The layout is PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from orchlite.core.errors import BadBundle
from orchlite.core.settings import Limits
from orchlite.core.text import quoted

ReadAt = Callable[[int, int], bytes]
"""Reads, from an offset, a number of bytes; fewer only where the file ends."""

STORED, DEFLATED = 0, 8
ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
DESCRIPTOR_FLAG = 0x0008
UTF8_FLAG = 0x0800

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_DESCRIPTOR, _DESCRIPTOR64 = struct.Struct("<3L"), struct.Struct("<LQQ")
_DESCRIPTOR_MARK = b"PK\x07\x08"
_COMMENT_BYTES = 0xFFFF
_LARGE, _MANY = 0xFFFFFFFF, 0xFFFF
"""What a field of four or two bytes holds when the real value stands in its ZIP64 twin."""

_EXTRA_BYTES = 512
"""Room for the extra fields and the comment of one entry in the directory: common tools use up to 60."""

_BLOCK_BYTES = 256 * 1024
_AGAIN = "Make the ZIP again, with `zip -r` or by giving the folder itself."


class Entry(NamedTuple):
    """One entry, as the directory describes it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    """Of its local header."""
    mode: int
    """Unix file type and permissions; 0 where the packing tool knew none."""
    data_offset: int = 0

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class _Directory(NamedTuple):
    offset: int
    size_bytes: int
    entries: int


def read_entries(read_at: ReadAt, file_bytes: int, limits: Limits | None = None) -> list[Entry]:
    """Return the entries of a ZIP in the order of its directory, the whole layout checked; their content is not read.

    With `limits`, too many entries or too large a directory are refused before it is read.

    Raises:
        BadBundle: with `entry` where one is to blame.

    """
    directory = _find_directory(read_at, file_bytes)
    if not directory.entries:
        raise BadBundle("The bundle holds no entries.", hint="Pack at least a main.py.")
    if limits:
        _check_directory(directory, limits)
    content = read_at(directory.offset, directory.size_bytes)
    entries = [_with_data_offset(read_at, entry, directory.offset) for entry in _central_entries(content, directory.entries)]
    _check_layout(read_at, entries, directory.offset)
    return entries


def read_content(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    """Yield the unpacked bytes of an entry in blocks, and never more than it declares.

    Raises:
        BadBundle: with `entry`; for a wrong length or CRC after the last block.

    """
    size_bytes = crc = 0
    for block in _inflated(read_at, entry) if entry.method == DEFLATED else _packed(read_at, entry):
        size_bytes += len(block)
        if size_bytes > entry.size_bytes:
            raise _damaged(entry, f"unpacks to more than the {entry.size_bytes} bytes that it declares", limit_bytes=entry.size_bytes)
        crc = zlib.crc32(block, crc)
        yield block
    if size_bytes != entry.size_bytes:
        raise _damaged(entry, f"unpacks to {size_bytes} bytes, but declares {entry.size_bytes}")
    if crc != entry.crc:
        raise _damaged(entry, "is damaged: its CRC is wrong")


def _damaged(entry: Entry, complaint: str, **details: int) -> BadBundle:
    return BadBundle(f"Entry {quoted(entry.name)} {complaint}.", hint=_AGAIN, entry=entry.name, **details)


def _broken(complaint: str) -> BadBundle:
    return BadBundle(f"The bundle {complaint}.", hint=_AGAIN)


# --- the end of the file


def _find_directory(read_at: ReadAt, file_bytes: int) -> _Directory:
    tail_bytes = min(file_bytes, END.size + _COMMENT_BYTES)
    tail = read_at(file_bytes - tail_bytes, tail_bytes)
    position = tail.rfind(END_MARK)
    if position < 0:
        raise _no_end(read_at(0, 4))
    _check_comment(tail[position:])
    end_offset = file_bytes - tail_bytes + position
    directory, directory_end = _read_end(read_at, tail[position:], end_offset)
    stray_bytes = directory_end - directory.offset - directory.size_bytes
    if stray_bytes:
        raise _broken(
            f"holds {abs(stray_bytes)} bytes too {'many' if stray_bytes > 0 else 'few'}: junk around the archive, or a part cut out"
        )
    return directory


def _no_end(head: bytes) -> BadBundle:
    if head == LOCAL_MARK:
        return _broken("is a ZIP that was cut short, or its end is buried in junk")
    return BadBundle("The bundle is not a ZIP.", hint="Give a ZIP with a main.py, or the folder itself.")


def _check_comment(end: bytes) -> None:
    if len(end) < END.size:
        raise _broken("is a ZIP that was cut short")
    comment_bytes: int = END.unpack_from(end)[-1]
    junk_bytes = len(end) - END.size - comment_bytes
    if junk_bytes > 0:
        raise _broken(f"has {junk_bytes} bytes of junk behind the end of the ZIP")
    if junk_bytes < 0:
        raise _broken("is a ZIP that was cut short")


def _read_end(read_at: ReadAt, end: bytes, end_offset: int) -> tuple[_Directory, int]:
    _, disk, directory_disk, count_here, count, size_bytes, offset, _ = END.unpack_from(end)
    if (disk, directory_disk) not in ((0, 0), (_MANY, _MANY)) or count_here != count:
        raise _broken("is one part of a split ZIP")
    narrow = _Directory(offset, size_bytes, count)
    locator_offset = end_offset - _LOCATOR64.size
    locator = read_at(locator_offset, _LOCATOR64.size) if locator_offset >= 0 else b""
    if not locator.startswith(b"PK\x06\x07"):
        return narrow, end_offset
    return _read_end64(read_at, locator, locator_offset, narrow)


def _read_end64(read_at: ReadAt, locator: bytes, locator_offset: int, narrow: _Directory) -> tuple[_Directory, int]:
    _, disk, end64_offset, disks = _LOCATOR64.unpack(locator)
    if end64_offset != locator_offset - _END64.size or disk or disks > 1:
        raise _broken("has a ZIP64 end that is not where it must be")
    mark, record_bytes, _, _, disk, directory_disk, count_here, count, size_bytes, offset = _END64.unpack(
        read_at(end64_offset, _END64.size)
    )
    if mark != b"PK\x06\x06" or record_bytes != _END64.size - 12 or disk or directory_disk or count_here != count:
        raise _broken("has a damaged ZIP64 end")
    wide = _Directory(offset, size_bytes, count)
    for small, large, escape in zip(narrow, wide, (_LARGE, _LARGE, _MANY), strict=True):
        if small not in (large, escape):
            raise _broken("has two ends, ZIP and ZIP64, that disagree")
    return wide, end64_offset


def _check_directory(directory: _Directory, limits: Limits) -> None:
    if directory.entries > limits.entries:
        raise BadBundle(
            f"The bundle has {directory.entries} entries; the limit is {limits.entries}.",
            hint="Pack fewer files, or raise Limits.entries.",
            limit=limits.entries,
        )
    limit_bytes = directory.entries * (CENTRAL.size + limits.path_bytes + _EXTRA_BYTES)
    if directory.size_bytes > limit_bytes:
        raise BadBundle(
            f"The bundle's directory has {directory.size_bytes} bytes; for {directory.entries} entries the limit is {limit_bytes}.",
            hint="Make the ZIP again without comments and extra fields.",
            limit_bytes=limit_bytes,
        )


# --- the directory


def _central_entries(content: bytes, count: int) -> Iterator[Entry]:
    position = 0
    for _ in range(count):
        if content[position : position + 4] != CENTRAL_MARK or len(content) - position < CENTRAL.size:
            raise _broken("has a damaged directory, or declares more entries than it holds")
        entry, position = _central_entry(content, position)
        yield entry
    if position != len(content):
        raise _broken("has a damaged directory, or holds more entries than it declares")


def _central_entry(content: bytes, position: int) -> tuple[Entry, int]:
    fields = CENTRAL.unpack_from(content, position)
    _, _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes, disk, _, external, offset = fields
    name_end = position + CENTRAL.size + name_bytes
    extra_end = name_end + extra_bytes
    if disk or extra_end + comment_bytes > len(content):
        raise _broken("has a damaged directory")
    raw_name = content[position + CENTRAL.size : name_end]
    name = _decoded(raw_name, flags)
    size, packed, offset = _widened(content[name_end:extra_end], (size, packed, offset), name)
    return Entry(name, raw_name, flags, method, crc, packed, size, offset, external >> 16), extra_end + comment_bytes


def _decoded(raw_name: bytes, flags: int) -> str:
    # Info-ZIP and macOS write UTF-8 without saying so; what is not UTF-8 is the code page of DOS (APPNOTE, appendix D).
    try:
        return raw_name.decode()
    except UnicodeDecodeError as error:
        if not flags & UTF8_FLAG:
            return raw_name.decode("cp437")
        name = raw_name.decode(errors="backslashreplace")
        hint = "Rename the file and pack again."
        raise BadBundle(f"Entry {quoted(name)} has a name that is not valid UTF-8.", hint=hint, entry=name) from error


def _widened(extra: bytes, values: Sequence[int], name: str) -> tuple[int, ...]:
    if _LARGE not in values:
        return tuple(values)
    numbers = _zip64_numbers(extra)
    if len(numbers) < values.count(_LARGE):
        raise BadBundle(f"Entry {quoted(name)} has a damaged ZIP64 field.", hint=_AGAIN, entry=name)
    wide = iter(numbers)
    return tuple(next(wide) if value == _LARGE else value for value in values)


def _zip64_numbers(extra: bytes) -> tuple[int, ...]:
    position = 0
    while len(extra) - position >= 4:
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1:
            count = len(extra[position : position + min(length, 24)]) // 8
            return struct.unpack_from(f"<{count}Q", extra, position)
        position += length
    return ()


# --- the local headers


def _with_data_offset(read_at: ReadAt, entry: Entry, directory_offset: int) -> Entry:
    header = read_at(entry.offset, LOCAL.size + len(entry.raw_name)) if entry.offset < directory_offset else b""
    if not header.startswith(LOCAL_MARK) or len(header) < LOCAL.size:
        raise _damaged(entry, "has no header where the directory says it is")
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = LOCAL.unpack_from(header)
    if name_bytes != len(entry.raw_name) or header[LOCAL.size :] != entry.raw_name:
        raise _damaged(entry, "has another name in its own header than in the directory")
    extra_offset = entry.offset + LOCAL.size + name_bytes
    if _LARGE in (size, packed):
        size, packed = _widened(read_at(extra_offset, extra_bytes), (size, packed), entry.name)
    _check_twice_said(entry, flags, method, (crc, packed, size))
    return entry._replace(data_offset=extra_offset + extra_bytes)


def _check_twice_said(entry: Entry, flags: int, method: int, local: tuple[int, int, int]) -> None:
    watched = ENCRYPTED_FLAGS | DESCRIPTOR_FLAG
    if (flags & watched, method) != (entry.flags & watched, entry.method):
        raise _damaged(entry, "is described differently in its own header and in the directory")
    for mine, central in zip(local, (entry.crc, entry.packed_bytes, entry.size_bytes), strict=True):
        # Written as zero where they stand behind the data instead.
        if mine != central and (mine or not flags & DESCRIPTOR_FLAG):
            raise _damaged(entry, "declares another size or CRC in its own header than in the directory")


def _check_layout(read_at: ReadAt, entries: Sequence[Entry], directory_offset: int) -> None:
    ordered = sorted(entries, key=lambda entry: entry.offset)
    if ordered[0].offset:
        raise _broken(f"has {ordered[0].offset} bytes of junk before its first entry")
    for entry, follower in pairwise(ordered):
        _check_gap(read_at, entry, follower.offset, f"entry {quoted(follower.name)}")
    _check_gap(read_at, ordered[-1], directory_offset, "the directory")


def _check_gap(read_at: ReadAt, entry: Entry, next_offset: int, follower: str) -> None:
    data_end = entry.data_offset + entry.packed_bytes
    if data_end > next_offset:
        raise _damaged(entry, f"overlaps {follower}")
    gap_bytes = next_offset - data_end
    if gap_bytes and not _is_descriptor(read_at(data_end, min(gap_bytes, 25)), entry):
        raise _damaged(entry, f"is followed by {gap_bytes} bytes of junk")


def _is_descriptor(gap: bytes, entry: Entry) -> bool:
    if not entry.flags & DESCRIPTOR_FLAG:
        return False
    numbers = (entry.crc, entry.packed_bytes, entry.size_bytes)
    forms = [_DESCRIPTOR64.pack(*numbers)]
    if max(numbers) <= _LARGE:
        forms.append(_DESCRIPTOR.pack(*numbers))
    return any(gap in (form, _DESCRIPTOR_MARK + form) for form in forms)


# --- the content


def _packed(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    position, end = entry.data_offset, entry.data_offset + entry.packed_bytes
    while position < end:
        block = read_at(position, min(_BLOCK_BYTES, end - position))
        if not block:
            raise _damaged(entry, "is cut short")
        position += len(block)
        yield block


def _inflated(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    # One byte more than declared is room enough to notice a lie.
    left = entry.size_bytes + 1
    blocks = _packed(read_at, entry)
    try:
        for block in blocks:
            while left > 0 and not inflate.eof:
                unpacked = inflate.decompress(block, min(left, _BLOCK_BYTES))
                block = inflate.unconsumed_tail
                # zlib may hold output back with all its input taken: only no output either means that it wants the next block.
                if not unpacked and not block:
                    break
                left -= len(unpacked)
                yield unpacked
            if inflate.eof:
                break
    except zlib.error as error:
        raise _damaged(entry, "is damaged: its data cannot be unpacked") from error
    if not inflate.eof or inflate.unused_data or next(blocks, b""):
        raise _damaged(entry, "is damaged: its packed data ends too early or too late")
