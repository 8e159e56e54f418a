"""The structure of a ZIP: its end record, central directory, local headers, and the content of its entries.

Pure: a function of the caller's reads the bytes. Only the layout is checked here: the file must consist of its entries, one after the
other from the first byte, then the central directory, then the end record, and whatever is recorded twice must agree. So no two readers
can see different bundles in one file, and no entry can share bytes with another. `rules` checks what the entries may be.

The layout is defined by PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from orchlite.bundles.unicode_names import has_field, unicode_name
from orchlite.core.errors import BadBundle
from orchlite.core.hints import OrRaise
from orchlite.core.settings import Limits
from orchlite.core.sizes import over_text
from orchlite.core.text import quoted

ReadAt = Callable[[int, int], bytes]
"""`read_at(offset, count)` returns `count` bytes, or fewer at the end of the file."""

STORED, DEFLATED = 0, 8
ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
DESCRIPTOR_FLAG = 0x0008
UTF8_FLAG = 0x0800

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCAL_SIGNATURE, CENTRAL_SIGNATURE, END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_DESCRIPTOR, _DESCRIPTOR64 = struct.Struct("<3L"), struct.Struct("<LQQ")
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_COMMENT_BYTES = 0xFFFF
_ZIP64_VALUE, _ZIP64_COUNT = 0xFFFFFFFF, 0xFFFF
"""The value of a field of four or two bytes if the real value is in its ZIP64 counterpart."""

_ENTRY_EXTRA_BYTES = 512
"""Allowance for the extra fields and the comment of an entry in the directory: common tools use up to 60 bytes."""

_BLOCK_BYTES = 256 * 1024
_REPACK = "Make the ZIP again with `zip -r`, or give the folder itself."


class Entry(NamedTuple):
    """An entry, as the central directory describes it."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    header_offset: int
    """Offset of the local header."""
    mode: int
    """Unix file type and permissions; 0 if the packing tool recorded none."""
    data_offset: int = 0
    """Offset of the content, once the local header was read."""

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a folder: its name ends with `/`."""
        return self.name.endswith("/")


class _Directory(NamedTuple):
    offset: int
    size_bytes: int
    entries: int


def read_entries(read_at: ReadAt, file_bytes: int, limits: Limits | None = None) -> list[Entry]:
    """Check the layout of a ZIP and return its entries in the order of its directory; contents are not read.

    With `limits`, too many entries or too large a directory are refused before the directory is read.

    Raises:
        BadBundle: with `entry` if the layout of one entry is wrong, and `limit` or `limit_bytes` if a limit is exceeded.

    """
    directory = _find_directory(read_at, file_bytes)
    if not directory.entries:
        raise BadBundle("The bundle has no entries.", hint="Pack at least a main.py.")
    if limits:
        _check_directory(directory, limits)
    content = read_at(directory.offset, directory.size_bytes)
    entries = [_with_data_offset(read_at, entry, directory.offset) for entry in _central_entries(content, directory.entries)]
    _check_layout(read_at, entries, directory.offset)
    return entries


def read_content(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    """Yield the decompressed content of an entry in blocks, never more than it declares.

    Raises:
        BadBundle: with `entry`. A wrong length or CRC shows only after the last block.

    """
    size_bytes = crc = 0
    for block in _inflated(read_at, entry) if entry.method == DEFLATED else _raw(read_at, entry):
        size_bytes += len(block)
        if size_bytes > entry.size_bytes:
            raise _bad_entry(entry, f"unpacks to more than the {entry.size_bytes} bytes that it declares", limit_bytes=entry.size_bytes)
        crc = zlib.crc32(block, crc)
        yield block
    if size_bytes != entry.size_bytes:
        raise _bad_entry(entry, f"unpacks to {size_bytes} bytes, but declares {entry.size_bytes}")
    if crc != entry.crc:
        raise _bad_entry(entry, "is damaged: its CRC is wrong")


def _bad_entry(entry: Entry, complaint: str, **details: int) -> BadBundle:
    return BadBundle(f"Entry {quoted(entry.name)} {complaint}.", hint=_REPACK, entry=entry.name, **details)


def _bad_zip(complaint: str) -> BadBundle:
    return BadBundle(f"The bundle {complaint}.", hint=_REPACK)


# --- End record


def _find_directory(read_at: ReadAt, file_bytes: int) -> _Directory:
    tail_bytes = min(file_bytes, END.size + _COMMENT_BYTES)
    tail = read_at(file_bytes - tail_bytes, tail_bytes)
    position = tail.rfind(END_SIGNATURE)
    if position < 0:
        raise _no_end(read_at(0, 4))
    _check_comment(tail[position:])
    end_offset = file_bytes - tail_bytes + position
    directory, directory_end = _read_end(read_at, tail[position:], end_offset)
    stray_bytes = directory_end - directory.offset - directory.size_bytes
    if stray_bytes:
        raise _bad_zip(
            f"has {abs(stray_bytes)} bytes too {'many' if stray_bytes > 0 else 'few'}: there is junk around the ZIP, or a part is missing"
        )
    return directory


def _no_end(head: bytes) -> BadBundle:
    if head == LOCAL_SIGNATURE:
        return _bad_zip("is a ZIP that was cut short, or has junk after its end")
    return BadBundle("The bundle is not a ZIP.", hint="Give a ZIP with a main.py, or the folder itself.")


def _check_comment(end: bytes) -> None:
    if len(end) < END.size:
        raise _bad_zip("is a ZIP that was cut short")
    comment_bytes: int = END.unpack_from(end)[-1]
    junk_bytes = len(end) - END.size - comment_bytes
    if junk_bytes > 0:
        raise _bad_zip(f"has {junk_bytes} bytes of junk after the end of the ZIP")
    if junk_bytes < 0:
        raise _bad_zip("is a ZIP that was cut short")


def _read_end(read_at: ReadAt, end: bytes, end_offset: int) -> tuple[_Directory, int]:
    _, disk, directory_disk, count_here, count, size_bytes, offset, _ = END.unpack_from(end)
    if (disk, directory_disk) not in ((0, 0), (_ZIP64_COUNT, _ZIP64_COUNT)) or count_here != count:
        raise _bad_zip("is one part of a split ZIP")
    narrow = _Directory(offset, size_bytes, count)
    locator_offset = end_offset - _LOCATOR64.size
    locator = read_at(locator_offset, _LOCATOR64.size) if locator_offset >= 0 else b""
    if not locator.startswith(b"PK\x06\x07"):
        return narrow, end_offset
    return _read_end64(read_at, locator, locator_offset, narrow)


def _read_end64(read_at: ReadAt, locator: bytes, locator_offset: int, narrow: _Directory) -> tuple[_Directory, int]:
    _, disk, end64_offset, disks = _LOCATOR64.unpack(locator)
    if end64_offset != locator_offset - _END64.size or disk or disks > 1:
        raise _bad_zip("has a ZIP64 end in the wrong place")
    signature, record_bytes, _, _, disk, directory_disk, count_here, count, size_bytes, offset = _END64.unpack(
        read_at(end64_offset, _END64.size)
    )
    if signature != b"PK\x06\x06" or record_bytes != _END64.size - 12 or disk or directory_disk or count_here != count:
        raise _bad_zip("has a damaged ZIP64 end")
    wide = _Directory(offset, size_bytes, count)
    for small, large, placeholder in zip(narrow, wide, (_ZIP64_VALUE, _ZIP64_VALUE, _ZIP64_COUNT), strict=True):
        if small not in (large, placeholder):
            raise _bad_zip("has two ends, ZIP and ZIP64, that disagree")
    return wide, end64_offset


def _check_directory(directory: _Directory, limits: Limits) -> None:
    if directory.entries > limits.entries:
        raise BadBundle(
            f"The bundle has {directory.entries} entries; the limit is {limits.entries}.",
            hint="Pack fewer files" + OrRaise("entries") + ".",
            limit=limits.entries,
        )
    limit_bytes = directory.entries * (CENTRAL.size + limits.path_bytes + _ENTRY_EXTRA_BYTES)
    if directory.size_bytes > limit_bytes:
        raise BadBundle(
            f"The bundle's directory for {directory.entries} entries has {over_text(directory.size_bytes, limit_bytes)}.",
            hint="Make the ZIP again without comments and extra fields.",
            limit_bytes=limit_bytes,
        )


# --- Central directory


def _central_entries(content: bytes, count: int) -> Iterator[Entry]:
    position = 0
    for _ in range(count):
        if content[position : position + 4] != CENTRAL_SIGNATURE or len(content) - position < CENTRAL.size:
            raise _bad_zip("has a damaged directory, or declares more entries than it has")
        entry, position = _central_entry(content, position)
        yield entry
    if position != len(content):
        raise _bad_zip("has a damaged directory, or has more entries than it declares")


def _central_entry(content: bytes, position: int) -> tuple[Entry, int]:
    fields = CENTRAL.unpack_from(content, position)
    _, _, _, flags, method, _, _, crc, compressed, size, name_bytes, extra_bytes, comment_bytes, disk, _, external, offset = fields
    name_end = position + CENTRAL.size + name_bytes
    extra_end = name_end + extra_bytes
    if disk or extra_end + comment_bytes > len(content):
        raise _bad_zip("has a damaged directory")
    raw_name = content[position + CENTRAL.size : name_end]
    extra = content[name_end:extra_end]
    name = _unicode_name(extra, raw_name, flags) or _decoded(raw_name, flags)
    size, compressed, offset = _zip64_values(extra, (size, compressed, offset), name)
    return Entry(name, raw_name, flags, method, crc, compressed, size, offset, external >> 16), extra_end + comment_bytes


def _decoded(raw_name: bytes, flags: int) -> str:
    # Info-ZIP and macOS write UTF-8 without setting the flag; other names are in the code page of DOS (APPNOTE, appendix D).
    try:
        return raw_name.decode()
    except UnicodeDecodeError as error:
        if not flags & UTF8_FLAG:
            return raw_name.decode("cp437")
        name = raw_name.decode(errors="backslashreplace")
        hint = "Rename the file and pack again."
        raise BadBundle(f"Entry {quoted(name)} has a name that is not valid UTF-8.", hint=hint, entry=name) from error


def _unicode_name(extra: bytes, raw_name: bytes, flags: int) -> str | None:
    if not has_field(extra):
        return None
    try:
        return unicode_name(extra, raw_name, is_utf8=bool(flags & UTF8_FLAG))
    except ValueError as error:
        name = raw_name.decode(errors="backslashreplace")
        complaint = f"Entry {quoted(name)} has another name in its Unicode Path field: two readers would see two bundles."
        raise BadBundle(complaint, hint=_REPACK, entry=name) from error


def _zip64_values(extra: bytes, values: Sequence[int], name: str) -> tuple[int, ...]:
    if _ZIP64_VALUE not in values:
        return tuple(values)
    numbers = _zip64_numbers(extra)
    if len(numbers) < values.count(_ZIP64_VALUE):
        raise BadBundle(f"Entry {quoted(name)} has a damaged ZIP64 field.", hint=_REPACK, entry=name)
    wide = iter(numbers)
    return tuple(next(wide) if value == _ZIP64_VALUE else value for value in values)


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


# --- Local headers


def _with_data_offset(read_at: ReadAt, entry: Entry, directory_offset: int) -> Entry:
    header = read_at(entry.header_offset, LOCAL.size + len(entry.raw_name)) if entry.header_offset < directory_offset else b""
    if not header.startswith(LOCAL_SIGNATURE) or len(header) < LOCAL.size:
        raise _bad_entry(entry, "has no header where the directory says it is")
    _, _, flags, method, _, _, crc, compressed, size, name_bytes, extra_bytes = LOCAL.unpack_from(header)
    if name_bytes != len(entry.raw_name) or header[LOCAL.size :] != entry.raw_name:
        raise _bad_entry(entry, "has a different name in its own header than in the directory")
    extra_offset = entry.header_offset + LOCAL.size + name_bytes
    extra = read_at(extra_offset, extra_bytes) if extra_bytes else b""
    # A reader of a stream sees this field alone.
    if (_unicode_name(extra, entry.raw_name, flags) or entry.name) != entry.name:
        raise _bad_entry(entry, "has a different name in its own header than in the directory")
    if _ZIP64_VALUE in (size, compressed):
        size, compressed = _zip64_values(extra, (size, compressed), entry.name)
    _check_header(entry, flags, method, (crc, compressed, size))
    return entry._replace(data_offset=extra_offset + extra_bytes)


def _check_header(entry: Entry, flags: int, method: int, local: tuple[int, int, int]) -> None:
    compared = ENCRYPTED_FLAGS | DESCRIPTOR_FLAG
    if (flags & compared, method) != (entry.flags & compared, entry.method):
        raise _bad_entry(entry, "is described differently in its own header and in the directory")
    for own, central in zip(local, (entry.crc, entry.compressed_bytes, entry.size_bytes), strict=True):
        # Zero if a data descriptor, after the content, has them instead.
        if own != central and (own or not flags & DESCRIPTOR_FLAG):
            raise _bad_entry(entry, "declares a different size or CRC in its own header than in the directory")


def _check_layout(read_at: ReadAt, entries: Sequence[Entry], directory_offset: int) -> None:
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    if ordered[0].header_offset:
        raise _bad_zip(f"has {ordered[0].header_offset} bytes of junk before its first entry")
    for entry, follower in pairwise(ordered):
        _check_gap(read_at, entry, follower.header_offset, f"entry {quoted(follower.name)}")
    _check_gap(read_at, ordered[-1], directory_offset, "the directory")


def _check_gap(read_at: ReadAt, entry: Entry, next_offset: int, follower: str) -> None:
    data_end = entry.data_offset + entry.compressed_bytes
    if data_end > next_offset:
        raise _bad_entry(entry, f"overlaps {follower}")
    gap_bytes = next_offset - data_end
    if gap_bytes and not _is_descriptor(read_at(data_end, min(gap_bytes, 25)), entry):
        raise _bad_entry(entry, f"is followed by {gap_bytes} bytes of junk")


def _is_descriptor(gap: bytes, entry: Entry) -> bool:
    if not entry.flags & DESCRIPTOR_FLAG:
        return False
    numbers = (entry.crc, entry.compressed_bytes, entry.size_bytes)
    forms = [_DESCRIPTOR64.pack(*numbers)]
    if max(numbers) <= _ZIP64_VALUE:
        forms.append(_DESCRIPTOR.pack(*numbers))
    return any(gap in (form, _DESCRIPTOR_SIGNATURE + form) for form in forms)


# --- Content


def _raw(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    position, end = entry.data_offset, entry.data_offset + entry.compressed_bytes
    while position < end:
        block = read_at(position, min(_BLOCK_BYTES, end - position))
        if not block:
            raise _bad_entry(entry, "is cut short")
        position += len(block)
        yield block


def _inflated(read_at: ReadAt, entry: Entry) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    # One byte more than declared shows that there is more.
    left = entry.size_bytes + 1
    blocks = _raw(read_at, entry)
    try:
        for block in blocks:
            while left > 0 and not inflate.eof:
                unpacked = inflate.decompress(block, min(left, _BLOCK_BYTES))
                block = inflate.unconsumed_tail
                # zlib may have output left after taking all its input: only if it returns none, it needs the next block.
                if not unpacked and not block:
                    break
                left -= len(unpacked)
                yield unpacked
            if inflate.eof:
                break
    except zlib.error as error:
        raise _bad_entry(entry, "is damaged: its data cannot be unpacked") from error
    if not inflate.eof or inflate.unused_data or next(blocks, b""):
        raise _bad_entry(entry, "is damaged: its compressed data ends too early or too late")
