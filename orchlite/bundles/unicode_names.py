"""The name of a ZIP entry from its Unicode Path field, which tools on Windows add when they write the name itself in a code page.

APPNOTE 6.3.10, section 4.6.9: an extra field of kind 0x7075 with a version, the CRC of the name in the header, and the name in UTF-8. Some
readers ignore the field. So it is accepted only if the header has the same name in a spelling that a known tool writes; otherwise different
readers would see different bundles in one file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_KIND = 0x7075
_HEAD = struct.Struct("<BL")

_CODE_PAGES = (
    *("cp437", "cp720", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861", "cp862", "cp863", "cp864"),
    *("cp865", "cp866", "cp869", "cp874", "cp932", "gbk", "cp949", "cp950", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254"),
    *("cp1255", "cp1256", "cp1257", "cp1258"),
)


def has_field(extra: bytes) -> bool:
    """Return whether the extra fields may have a Unicode Path."""
    return b"\x75\x70" in extra


def unicode_name(extra: bytes, raw_name: bytes, *, is_utf8: bool) -> str | None:
    """Return the name in the Unicode Path field, or None if there is no such field.

    Raises:
        ValueError: the field is damaged, occurs twice, or has another name than the header.
    """
    fields = list(_fields(extra))
    if not fields:
        return None
    if len(fields) > 1 or len(fields[0]) < _HEAD.size:
        raise ValueError("damaged")
    version, crc = _HEAD.unpack_from(fields[0])
    name = fields[0][_HEAD.size :].decode()
    if name.encode() == raw_name:
        return name
    if version != 1 or crc != zlib.crc32(raw_name) or is_utf8 or raw_name not in _spellings(name):
        raise ValueError("another name")
    return name


def _fields(extra: bytes) -> Iterator[bytes]:
    position = 0
    while len(extra) - position >= 4:
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == _KIND:
            yield extra[position : position + length]
        position += length


def _spellings(name: str) -> Iterator[bytes]:
    """Yield what tools write into the header: the name in a code page, `?` for what it lacks; or `#U0434`, as Info-ZIP does on Unix."""
    for page in _CODE_PAGES:
        yield name.encode(page, errors="replace")
    for width in ("04x", "04X"):
        yield "".join(character if character.isascii() else f"#U{ord(character):{width}}" for character in name).encode()
