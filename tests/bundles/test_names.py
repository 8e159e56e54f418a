"""Names of entries: which are refused, which collide, and which are junk."""

from __future__ import annotations

import pytest

from orchlite.bundles.names import check_collisions, check_name, check_portable, folders_of, is_junk
from orchlite.core.errors import BadBundle
from orchlite.core.settings import Limits

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    "name",
    [
        "main.py",
        "a/b/c.txt",
        "folder/",
        ".env",
        ".hidden/x",
        "..x",
        "x..y",
        "a b",
        " leading blank",
        "2024-01-01T10:00:00.csv",
        "größe.csv",
        "数据/表.csv",
        "family \U0001f468\u200d\U0001f469.png",
        "console.py",
        "auxiliary/com10.txt",
        "a.con",
    ],
)
def test_an_ordinary_name_is_accepted(name: str) -> None:
    check_name(name, Limits())


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("", "empty name", id="empty"),
        pytest.param("../x", "climbs out", id="climbing"),
        pytest.param("a/../../x", "climbs out", id="climbing inside"),
        pytest.param("a/..", "climbs out", id="climbing at the end"),
        pytest.param("../", "climbs out", id="climbing folder"),
        pytest.param("./main.py", "'.'", id="dot"),
        pytest.param("a/./b", "'.'", id="dot inside"),
        pytest.param("/etc/passwd", "absolute", id="absolute"),
        pytest.param("/", "absolute", id="root"),
        pytest.param("C:/x", "drive letter", id="drive letter"),
        pytest.param("c:x", "drive letter", id="drive letter without a slash"),
        pytest.param("a\\b", "backslash", id="backslash"),
        pytest.param("..\\x", "backslash", id="climbing with a backslash"),
        pytest.param("main.py\0.txt", "NUL", id="NUL"),
        pytest.param("a\nb", "control character", id="line feed"),
        pytest.param("a\x1b[31m", "control character", id="terminal sequence"),
        pytest.param("a\x7f", "control character", id="delete"),
        pytest.param("a\x85b", "control character", id="C1"),
        pytest.param("a\u2028b", "control character", id="line separator"),
        pytest.param("a\u202etxt.py", "direction", id="right-to-left override"),
        pytest.param("a\u2066b", "direction", id="isolate"),
        pytest.param("a\u200fb", "direction", id="right-to-left mark"),
        pytest.param("a\udcffb", "UTF-8", id="undecodable byte"),
        pytest.param("a//b", "empty part", id="empty part"),
        pytest.param("a.", "dot or a space", id="trailing dot"),
        pytest.param("a /b", "dot or a space", id="trailing space of a folder"),
        pytest.param("CON", "Windows device", id="device"),
        pytest.param("a/nul.txt", "Windows device", id="device with an ending"),
        pytest.param("Lpt1/x", "Windows device", id="device as a folder"),
        pytest.param("aux /x", "Windows device", id="device with a space"),
        pytest.param("com1 .log", "Windows device", id="device, space, ending"),
        pytest.param("a/" + "ä" * 128, "255", id="component too long in bytes"),
    ],
)
def test_a_bad_name_is_refused_and_quoted_with_escapes(name: str, complaint: str) -> None:
    with pytest.raises(BadBundle) as caught:
        check_portable(name)
    assert complaint in caught.value.message
    assert caught.value.hint
    assert caught.value.details["entry"] == name
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "limits", "limit"),
    [
        pytest.param("a" * 121 + "/" + "b" * 119, Limits(), 240, id="path of 241 bytes"),
        pytest.param("ä" * 6, Limits(path_bytes=11), 11, id="bytes count, not characters"),
        pytest.param("a/b/c/d", Limits(depth=3), 3, id="too deep"),
        pytest.param("a/b/c/d/", Limits(depth=3), 3, id="folder too deep"),
    ],
)
def test_a_long_or_deep_name_is_refused_with_the_limit(name: str, limits: Limits, limit: int) -> None:
    with pytest.raises(BadBundle) as caught:
        check_name(name, limits)
    assert limit in (caught.value.details.get("limit"), caught.value.details.get("limit_bytes"))
    assert str(limit) in caught.value.message
    assert "Limits." in str(caught.value.hint)


@pytest.mark.parametrize("name", ["a" * 120 + "/" + "b" * 119, "a/b/c/", "ä" * 5])
def test_a_name_at_the_limit_is_accepted(name: str) -> None:
    check_name(name, Limits(path_bytes=240, depth=3))


@pytest.mark.parametrize(
    ("names", "complaint", "entry"),
    [
        pytest.param(["a", "b", "a"], "twice", "a", id="duplicate"),
        pytest.param(["f/", "f/"], "twice", "f/", id="duplicate folder"),
        pytest.param(["Read.me", "read.ME"], "case or Unicode form", "read.ME", id="case"),
        pytest.param(["Data/a", "data/b"], "case or Unicode form", "data/b", id="case of a folder"),
        pytest.param(["straße", "STRASSE"], "case or Unicode form", "STRASSE", id="case beyond ASCII"),
        pytest.param([NFC, NFD], "case or Unicode form", NFD, id="Unicode form"),
        pytest.param(["a", "a/b"], "file and a folder", "a/b", id="file, then folder"),
        pytest.param(["a/b/c", "a/b"], "file and a folder", "a/b", id="folder, then file"),
        pytest.param(["a/", "a"], "file and a folder", "a", id="listed folder, then file"),
    ],
)
def test_two_names_for_one_file_are_refused(names: list[str], complaint: str, entry: str) -> None:
    with pytest.raises(BadBundle) as caught:
        check_collisions(names)
    assert complaint in caught.value.message
    assert caught.value.details["entry"] == entry
    assert caught.value.hint


def test_names_of_different_files_are_accepted() -> None:
    check_collisions(["a/", "a/b", "a/b.txt", "b/a", "ab", "a/c/", "a/c/d"])


@pytest.mark.parametrize(
    "name", ["__MACOSX/", "__MACOSX/._main.py", "a/__MACOSX/b", ".DS_Store", "a/.DS_Store", "._x", "a/._x", "Thumbs.db", "a/thumbs.db"]
)
def test_files_that_desktop_systems_add_are_junk(name: str) -> None:
    assert is_junk(name)


@pytest.mark.parametrize("name", ["main.py", "__MACOSX", "DS_Store", ".env", "_x", "a.db", "Thumbs.db/x"])
def test_anything_else_is_no_junk(name: str) -> None:
    assert not is_junk(name)


@pytest.mark.parametrize(("name", "folders"), [("a", []), ("a/b/c", ["a", "a/b"]), ("a/b/", ["a", "a/b"])])
def test_the_folders_of_a_name_come_outermost_first(name: str, folders: list[str]) -> None:
    assert list(folders_of(name)) == folders
