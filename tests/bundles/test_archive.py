"""Crafted ZIPs: whatever is malformed, ambiguous or too large is refused by name."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchlite.bundles import bundle
from orchlite.core.errors import BadBundle
from orchlite.core.settings import Limits
from orchlite.core.sizes import size_text

PROGRAM = b"print(1)\n"
FILE = 0o100644 << 16


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, 9, -15)


@dataclass(frozen=True)
class Piece:
    """One entry, correct unless a field says otherwise."""

    name: bytes = b"main.py"
    data: bytes = PROGRAM
    method: int = 0
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    flags: int = 0
    external: int = FILE
    local_name: bytes | None = None
    local_crc: int | None = None
    local_method: int | None = None
    central_extra: bytes = b""
    offset: int | None = None
    behind: bytes = b""

    @property
    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == 8 else self.data

    @property
    def facts(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        return crc, len(self.body), len(self.data) if self.size is None else self.size

    def local(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        crc, packed, size = self.facts
        crc = crc if self.local_crc is None else self.local_crc
        method = self.method if self.local_method is None else self.local_method
        head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, self.flags, method, 0, 33, crc, packed, size, len(name), 0)
        return head + name + self.body + self.behind

    def central(self, offset: int) -> bytes:
        offset = offset if self.offset is None else self.offset
        lengths = (len(self.name), len(self.central_extra), 0, 0, 0)
        head = struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 788, 20, self.flags, self.method, 0, 33, *self.facts, *lengths, self.external, offset
        )
        return head + self.name + self.central_extra


MAIN = Piece()


def crafted(*pieces: Piece, before: bytes = b"", between: bytes = b"", end: bytes | None = None, count: int | None = None) -> bytes:
    body, directory = before, b""
    for piece in pieces:
        directory += piece.central(len(body))
        body += piece.local()
    entries = len(pieces) if count is None else count
    if end is None:
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), len(body), 0)
    return body + between + directory + end


def named(name: str) -> bytes:
    return crafted(MAIN, Piece(name=name.encode(), data=b"x", flags=0x800))


def refusal(content: bytes, folder: Path, limits: Limits | None = None) -> BadBundle:
    path = folder / "upload.zip"
    path.write_bytes(content)
    with pytest.raises(BadBundle) as caught:
        bundle.inspect(path, limits or Limits())
    assert str(caught.value).isprintable()
    assert caught.value.hint
    assert [item.name for item in folder.iterdir()] == ["upload.zip"]
    return caught.value


def test_the_crafted_bundle_is_accepted_without_a_flaw(tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    path.write_bytes(crafted(MAIN, Piece(name=b"a/b", data=b"x" * 99, method=8)))
    assert bundle.inspect(path, Limits()).entrypoint == "main.py"


# --- The whole file

GOOD = crafted(MAIN, Piece(name=b"data", data=b"abc" * 50, method=8))


def with_zip64_end(*, end64: bytes | None = None, move: int = 0, disks: int = 1) -> bytes:
    """One correct entry, and a ZIP64 end between the directory and the end."""
    whole = crafted(MAIN)
    directory_end = len(whole) - 22
    offset, size = len(MAIN.local()), len(MAIN.central(0))
    end64 = end64 or struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, directory_end + move, disks)
    return whole[:-22] + end64 + locator + whole[-22:]


END64_OF_ANOTHER = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 54, 45)


def test_the_crafted_zip64_end_is_accepted_without_a_flaw(tmp_path: Path) -> None:
    path = tmp_path / "upload.zip"
    path.write_bytes(with_zip64_end())
    assert bundle.inspect(path, Limits()).entrypoint == "main.py"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"print('no zip')\n" * 10, "not a ZIP", id="not a zip"),
        pytest.param(b"PK", "not a ZIP", id="two bytes"),
        pytest.param(b"", "empty file", id="empty file"),
        pytest.param(GOOD[:60], "cut short", id="truncated in an entry"),
        pytest.param(GOOD[:-30], "cut short", id="truncated in the directory"),
        pytest.param(GOOD[:-1], "cut short", id="truncated in the end"),
        pytest.param(GOOD[20:], "too few", id="beginning cut off"),
        pytest.param(crafted(), "no entries", id="no entries"),
        pytest.param(b"junk" + GOOD, "4 bytes too many", id="junk before"),
        pytest.param(crafted(MAIN, before=b"#!shell\n"), "8 bytes of junk before", id="junk before, offsets moved"),
        pytest.param(GOOD + b"junk", "4 bytes of junk after", id="junk after the end"),
        pytest.param(crafted(MAIN, between=b"junk"), "4 bytes too many", id="junk before the directory"),
        pytest.param(crafted(MAIN, count=2), "more entries than it has", id="more entries declared than there are"),
        pytest.param(crafted(MAIN, Piece(name=b"b"), count=1), "more entries than it declares", id="fewer entries declared than there are"),
        pytest.param(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0, 0, 0), "damaged directory", id="directory of no bytes"),
        pytest.param(GOOD[:-18] + b"\1\0\1\0" + GOOD[-14:], "split ZIP", id="part of a split zip"),
        pytest.param(with_zip64_end(move=1), "ZIP64 end in the wrong place", id="ZIP64 end elsewhere"),
        pytest.param(with_zip64_end(disks=2), "ZIP64 end in the wrong place", id="ZIP64 end on another disk"),
        pytest.param(with_zip64_end(end64=b"PK\x06\x06" + b"\xff" * 52), "damaged ZIP64 end", id="ZIP64 end of another length"),
        pytest.param(with_zip64_end(end64=END64_OF_ANOTHER), "disagree", id="ZIP64 end that disagrees"),
    ],
)
def test_a_file_that_is_not_exactly_one_zip_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    assert complaint in refusal(content, tmp_path).message


def test_a_second_zip_in_the_comment_is_not_read_instead(tmp_path: Path) -> None:
    inner = crafted(Piece(data=b"import evil\n"))
    outer = GOOD[:-2] + struct.pack("<H", len(inner)) + inner
    assert "bytes too many" in refusal(outer, tmp_path).message


# --- Entries

DATA = b"abc" * 50
ZIP64_FIELD = struct.pack("<HHQ", 1, 8, 1 << 63)


@pytest.mark.parametrize(
    ("piece", "complaint", "hint"),
    [
        pytest.param(Piece(crc=1), "CRC is wrong", "again", id="bad CRC, stored"),
        pytest.param(Piece(method=8, crc=1), "CRC is wrong", "again", id="bad CRC, deflated"),
        pytest.param(Piece(data=b"", crc=1), "CRC is wrong", "again", id="bad CRC of nothing"),
        pytest.param(Piece(local_name=b"nain.py"), "a different name", "again", id="local name differs"),
        pytest.param(Piece(local_name=b"main.py.txt"), "a different name", "again", id="local name is longer"),
        pytest.param(Piece(local_crc=7), "a different size or CRC", "again", id="local CRC differs"),
        pytest.param(Piece(local_method=8), "differently", "again", id="local method differs"),
        pytest.param(Piece(behind=b"junk"), "4 bytes of junk", "again", id="junk after an entry"),
        pytest.param(Piece(flags=8, behind=b"x" * 16), "16 bytes of junk", "again", id="junk in place of a data descriptor"),
        pytest.param(Piece(offset=4), "no header", "again", id="offset into nowhere"),
        pytest.param(Piece(offset=0xFFFFFFF0), "no header", "again", id="offset after the end"),
        pytest.param(Piece(offset=0xFFFFFFFF), "ZIP64 field", "again", id="ZIP64 offset that is missing"),
        pytest.param(Piece(offset=0xFFFFFFFF, central_extra=ZIP64_FIELD), "no header", "again", id="absurd ZIP64 offset"),
        pytest.param(Piece(offset=0xFFFFFFFF, central_extra=b"\1\0\xff\0"), "ZIP64 field", "again", id="ZIP64 field cut short"),
        pytest.param(Piece(size=9999), "declares 9999", "again", id="declares more than it has"),
        pytest.param(Piece(data=DATA, method=8, size=10), "more than the 10 bytes", "again", id="declares less than it has"),
        pytest.param(Piece(data=DATA, size=10), "more than the 10 bytes", "again", id="declares less than it has, stored"),
        pytest.param(Piece(data=DATA, method=8, packed=deflated(DATA)[:-9]), "too early", "again", id="packed data cut short"),
        pytest.param(Piece(data=DATA, method=8, packed=deflated(DATA) + b"junk"), "too late", "again", id="junk after the compressed data"),
        pytest.param(Piece(data=DATA, method=8, packed=b"\xff" * 40), "cannot be unpacked", "again", id="packed data is noise"),
        pytest.param(Piece(data=DATA, method=8, packed=b""), "too early", "again", id="no packed data"),
        pytest.param(Piece(flags=1), "encrypted", "password", id="encrypted"),
        pytest.param(Piece(flags=0x41), "encrypted", "password", id="strongly encrypted"),
        pytest.param(Piece(method=12), "method 12", "zip -r", id="bzip2"),
        pytest.param(Piece(method=14), "method 14", "zip -r", id="LZMA"),
        pytest.param(Piece(method=99), "method 99", "zip -r", id="unknown method"),
        pytest.param(Piece(external=0o120777 << 16), "symbolic link", "Pack the file", id="symbolic link"),
        pytest.param(Piece(external=0o020666 << 16), "device", "only files", id="character device"),
        pytest.param(Piece(external=0o060666 << 16), "device", "only files", id="block device"),
        pytest.param(Piece(external=0o010666 << 16), "pipe", "only files", id="pipe"),
        pytest.param(Piece(external=0o140666 << 16), "socket", "only files", id="socket"),
        pytest.param(Piece(external=0o040755 << 16), "marked as a folder", "another tool", id="folder named as a file"),
    ],
)
def test_a_bad_entry_is_refused_by_name(piece: Piece, complaint: str, hint: str, tmp_path: Path) -> None:
    error = refusal(crafted(Piece(name=b"first", data=b"1"), piece), tmp_path)
    assert complaint in error.message
    assert error.details["entry"] == "main.py"
    assert hint in str(error.hint)


def test_a_folder_that_hides_data_is_refused(tmp_path: Path) -> None:
    error = refusal(crafted(MAIN, Piece(name=b"data/", data=b"hidden")), tmp_path)
    assert error.details["entry"] == "data/"
    assert "6 bytes of data" in error.message


def test_a_name_that_claims_to_be_utf_8_and_is_not_is_refused(tmp_path: Path) -> None:
    error = refusal(crafted(MAIN, Piece(name=b"caf\xe9", flags=0x800)), tmp_path)
    assert "not valid UTF-8" in error.message
    assert error.details["entry"] == r"caf\xe9"


def test_two_entries_with_one_content_are_refused_as_overlapping(tmp_path: Path) -> None:
    error = refusal(crafted(MAIN, replace(MAIN, offset=0)), tmp_path)
    assert "overlaps" in error.message
    assert error.details["entry"] == "main.py"


def test_an_entry_that_reaches_into_the_next_is_refused_as_overlapping(tmp_path: Path) -> None:
    # As in a zip bomb by D. Fifield: the first entry's content is the second entry, with its header.
    kernel = Piece(name=b"kernel", data=b"0" * 100)
    quoting = Piece(name=b"main.py", data=kernel.local())
    content = quoting.local()
    directory = quoting.central(0) + kernel.central(len(content) - len(kernel.local()))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(directory), len(content), 0)
    error = refusal(content + directory + end, tmp_path)
    assert "overlaps entry 'kernel'" in error.message
    assert error.details["entry"] == "main.py"


def test_an_entry_that_reaches_into_the_directory_is_refused_as_overlapping(tmp_path: Path) -> None:
    honest = crafted(MAIN)
    longer = len(PROGRAM) + 5
    content = bytearray(honest)
    for position in (18, 22, len(MAIN.local()) + 20, len(MAIN.local()) + 24):
        struct.pack_into("<L", content, position, longer)
    assert "overlaps the directory" in refusal(bytes(content), tmp_path).message


# --- Limits

BOMB = Piece(name=b"bomb", data=bytes(2 * 1024 * 1024), method=8)


@pytest.mark.parametrize(
    ("content", "limits", "details", "hint"),
    [
        pytest.param(GOOD, Limits(upload_bytes=100), {"limit_bytes": 100}, "upload_bytes", id="upload"),
        pytest.param(
            crafted(MAIN, Piece(name=b"big", data=b"x" * 101)),
            Limits(entry_bytes=100),
            {"limit_bytes": 100, "entry": "big"},
            "entry_bytes",
            id="entry",
        ),
        pytest.param(
            crafted(MAIN, Piece(name=b"big", size=1 << 31)),
            Limits(),
            {"limit_bytes": 256 << 20, "entry": "big"},
            "entry_bytes",
            id="declared size",
        ),
        pytest.param(
            crafted(MAIN, Piece(name=b"a", data=b"x" * 60), Piece(name=b"b", data=b"x" * 60)),
            Limits(unpacked_bytes=100),
            {"limit_bytes": 100},
            "unpacked_bytes",
            id="all together",
        ),
        pytest.param(crafted(MAIN, BOMB), Limits(), {"limit": 200, "entry": "bomb"}, "ratio", id="ratio bomb"),
        pytest.param(crafted(MAIN, Piece(name=b"a"), Piece(name=b"b")), Limits(entries=2), {"limit": 2}, "entries", id="entries"),
        pytest.param(
            crafted(replace(MAIN, central_extra=struct.pack("<HH", 9, 900) + bytes(900))), Limits(), {}, "extra fields", id="huge directory"
        ),
        pytest.param(crafted(MAIN, count=0xFFFF), Limits(), {"limit": 10_000}, "entries", id="declared number of entries"),
        pytest.param(named("a" * 241), Limits(), {"limit_bytes": 240, "entry": "a" * 241}, "path_bytes", id="path"),
        pytest.param(named("a/" * 32 + "b"), Limits(), {"limit": 32, "entry": "a/" * 32 + "b"}, "depth", id="depth"),
    ],
)
def test_a_limit_that_is_exceeded_is_named(content: bytes, limits: Limits, details: dict[str, object], hint: str, tmp_path: Path) -> None:
    error = refusal(content, tmp_path, limits)
    assert details.items() <= error.details.items()
    assert hint in str(error.hint)
    named = [value for key, value in details.items() if key != "entry" and isinstance(value, int)]
    assert all(str(value) in error.message or size_text(value) in error.message for value in named)


def test_a_bomb_that_declares_little_is_stopped_at_what_it_declares(tmp_path: Path) -> None:
    error = refusal(crafted(MAIN, replace(BOMB, size=100)), tmp_path)
    assert error.details == {"entry": "bomb", "limit_bytes": 100}


# --- Names


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("../x", "climbs out", id="climbing"),
        pytest.param("/etc/passwd", "absolute", id="absolute"),
        pytest.param("C:/x", "drive letter", id="drive letter"),
        pytest.param("a\\b", "backslash", id="backslash"),
        pytest.param("main.py\0.txt", "NUL", id="NUL"),
        pytest.param("a\nb", "control character", id="control character"),
        pytest.param("a\u202eb", "direction", id="bidi character"),
        pytest.param("", "empty name", id="empty name"),
        pytest.param("a" * 256, "255", id="long component"),
        pytest.param("CON", "Windows device", id="device name"),
        pytest.param("a.", "dot or a space", id="trailing dot"),
        pytest.param("a ", "dot or a space", id="trailing space"),
        pytest.param("__MACOSX/../../x", "climbs out", id="climbing among junk"),
    ],
)
def test_a_bad_name_is_refused_never_repaired(name: str, complaint: str, tmp_path: Path) -> None:
    error = refusal(named(name), tmp_path)
    assert complaint in error.message
    assert error.details["entry"] == name


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        pytest.param(["a", "a"], "twice", id="duplicate"),
        pytest.param(["a", "A"], "case", id="case"),
        pytest.param(["caf\u00e9", "cafe\u0301"], "Unicode form", id="Unicode form"),
        pytest.param(["a", "a/b"], "file and a folder", id="file and folder"),
    ],
)
def test_two_entries_for_one_file_are_refused(names: list[str], complaint: str, tmp_path: Path) -> None:
    error = refusal(crafted(MAIN, *(Piece(name=name.encode(), flags=0x800) for name in names)), tmp_path)
    assert complaint in error.message
    assert error.details["entry"] == names[1]
    assert error.details["other"] == names[0]
