"""Names that tools on Windows write in a code page, with their Unicode form beside them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from orchlite.bundles import bundle
from orchlite.bundles.archive import CENTRAL, CENTRAL_SIGNATURE, END, END_SIGNATURE, LOCAL, LOCAL_SIGNATURE
from orchlite.core.errors import BadBundle
from orchlite.core.settings import Limits

NAME = "данные.csv"
RAW = NAME.encode("cp866")
UTF8 = 0x0800


def field(name: str | bytes, raw_name: bytes, *, version: int = 1, crc: int | None = None) -> bytes:
    content = struct.pack("<BL", version, zlib.crc32(raw_name) if crc is None else crc) + (name.encode() if isinstance(name, str) else name)
    return struct.pack("<HH", 0x7075, len(content)) + content


def zipped(path: Path, *entries: tuple[bytes, bytes, bytes | None], flags: int = 0) -> Path:
    """Write a ZIP of a main.py and of entries: their name in the headers, their extra fields there, and in the local one if others."""
    body, directory = b"", b""
    for raw_name, extra, local_extra in ((b"main.py", b"", None), *entries):
        local = extra if local_extra is None else local_extra
        facts = (flags, 0, 0, 33, zlib.crc32(b"1"), 1, 1, len(raw_name))
        central = CENTRAL.pack(CENTRAL_SIGNATURE, 20, 20, *facts, len(extra), 0, 0, 0, 0, len(body))
        directory += central + raw_name + extra
        body += LOCAL.pack(LOCAL_SIGNATURE, 20, *facts, len(local)) + raw_name + local + b"1"
    count = len(entries) + 1
    path.write_bytes(body + directory + END.pack(END_SIGNATURE, 0, 0, count, count, len(directory), len(body), 0))
    return path


def names(path: Path) -> set[str]:
    bundle.inspect(path, Limits())
    into = path.parent / "unpacked"
    into.mkdir()
    bundle.unpack(path, into)
    return {item.relative_to(into).as_posix() for item in into.rglob("*")} - {"main.py"}


@pytest.mark.parametrize(
    ("name", "raw_name"),
    [
        pytest.param(NAME, RAW, id="code page of DOS"),
        pytest.param("Größe/ä.txt", "Größe/ä.txt".encode("cp1252"), id="code page of Windows"),
        pytest.param("表.txt", "表.txt".encode("cp932"), id="two bytes, the second one a backslash"),
        pytest.param(NAME, b"??????.csv", id="a code page that lacks the letters"),
        pytest.param(NAME, b"#U0434#U0430#U043d#U043d#U044b#U0435.csv", id="Info-ZIP on Unix"),
        pytest.param(NAME, NAME.encode(), id="UTF-8 in both"),
    ],
)
def test_the_unicode_form_of_a_name_is_the_name(name: str, raw_name: bytes, tmp_path: Path) -> None:
    found = names(zipped(tmp_path / "b.zip", (raw_name, field(name, raw_name), None)))
    assert name in found
    assert len(found) == 1 + name.count("/")


def test_it_may_be_in_the_directory_only(tmp_path: Path) -> None:
    assert names(zipped(tmp_path / "b.zip", (RAW, field(NAME, RAW), b""))) == {NAME}


def test_it_is_found_behind_other_fields(tmp_path: Path) -> None:
    time = struct.pack("<HH", 0x5455, 5) + b"\1up\0\0"
    assert names(zipped(tmp_path / "b.zip", (RAW, time + field(NAME, RAW), None))) == {NAME}
    assert bundle.inspect(zipped(tmp_path / "c.zip", (b"a.csv", time, None)), Limits()).warnings == ()


@pytest.mark.parametrize(
    ("raw_name", "extra", "local_extra"),
    [
        pytest.param(b"x.py", field("y.py", b"x.py"), None, id="two names"),
        pytest.param(b"x.py", field("main.py", b"x.py"), None, id="a second program"),
        pytest.param(b"\x80.py", field("x.py", b"\x80.py"), None, id="a letter left out"),
        pytest.param(b"?.py", field("x.py", b"?.py"), None, id="a placeholder for a letter that every code page has"),
        pytest.param(b"a.txt", field("ā.txt", b"a.txt"), None, id="another letter"),
        pytest.param(RAW, field(NAME, b"other"), None, id="of another name"),
        pytest.param(RAW, field(NAME, RAW, version=2), None, id="unknown version"),
        pytest.param(RAW, field(b"\xff", RAW), None, id="not UTF-8"),
        pytest.param(RAW, field(NAME, RAW) * 2, None, id="twice"),
        pytest.param(RAW, struct.pack("<HH", 0x7075, 2) + b"\1\0", None, id="cut short"),
        pytest.param(RAW, b"", field(NAME, RAW), id="in its own header only"),
        pytest.param(b"x.py", b"", field("y.py", b"x.py"), id="another name in its own header only"),
    ],
)
def test_an_entry_with_two_readings_is_refused(raw_name: bytes, extra: bytes, local_extra: bytes | None, tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", (raw_name, extra, local_extra))
    with pytest.raises(BadBundle, match="name in its") as caught:
        bundle.inspect(path, Limits())
    assert caught.value.details["entry"]
    with pytest.raises(BadBundle):
        bundle.unpack(path, tmp_path)


def test_a_name_that_is_declared_as_utf8_has_no_other(tmp_path: Path) -> None:
    raw_name = b"??????.csv"
    with pytest.raises(BadBundle, match="Unicode Path"):
        bundle.inspect(zipped(tmp_path / "b.zip", (raw_name, field(NAME, raw_name), None), flags=UTF8), Limits())


@pytest.mark.parametrize("name", ["../ä", "ä\\b", "/ä", "ä\0", "con/ä", "ä ", "ä/../../b"])
def test_it_is_checked_like_any_name(name: str, tmp_path: Path) -> None:
    raw_name = name.encode("cp850")
    with pytest.raises(BadBundle):
        bundle.inspect(zipped(tmp_path / "b.zip", (raw_name, field(name, raw_name), None)), Limits())


def test_two_entries_with_one_unicode_name_are_refused(tmp_path: Path) -> None:
    second = NAME.encode("cp1251")
    with pytest.raises(BadBundle, match="occurs twice"):
        bundle.inspect(zipped(tmp_path / "b.zip", (RAW, field(NAME, RAW), None), (second, field(NAME, second), None)), Limits())
