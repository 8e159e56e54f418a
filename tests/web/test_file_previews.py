"""Previews of files: what is shown of text, JSON, tables and pictures, and of files that only pretend to be some."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchlite.web.file_previews import READ_BYTES, Preview, preview


def _shown(name: str, content: bytes) -> Preview:
    return preview(name, content[:READ_BYTES], len(content))


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (
            b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x">\n<!-- made by x -->\n<svg xmlns="http://www.w3.org/2000/svg">',
            "image/svg+xml",
        ),
    ],
)
def test_a_picture_is_known_by_its_content(start: bytes, media_type: str) -> None:
    assert _shown("whatever.txt", start) == Preview("picture", media_type)


@pytest.mark.parametrize("content", [b"<html><svg></svg>", b"<script>alert(1)</script>", b"\x89PNG", b"<svgx>", b"<!---->" * 500])
def test_what_only_pretends_to_be_a_picture_is_none(content: bytes) -> None:
    assert _shown("picture.png", content).kind in ("text", "nothing")


def test_a_picture_that_is_too_large_is_not_shown() -> None:
    assert preview("a.png", b"\x89PNG\r\n\x1a\n", 10**9).kind == "nothing"


def test_a_table_has_its_cells_and_names() -> None:
    assert _shown("a.csv", b'\xef\xbb\xbfday,sum\r\nMon,"1,5"\r\n\r\nTue,"a ""b"""\r\n') == Preview(
        "table", header=["day", "sum"], rows=[["Mon", "1,5"], ["Tue", 'a "b"']]
    )
    assert _shown("a.TSV", b"a\tb\n1\t2\n").rows == [["1", "2"]]


def test_a_table_shows_its_first_rows_and_columns_only() -> None:
    found = _shown("a.csv", b"\n".join(b",".join(b"%d" % number for number in range(60)) for _ in range(500)))
    assert (len(found.header), found.is_cut) == (40, True)
    assert len(found.rows) <= 200
    assert _shown("a.csv", b"a,b\n" + b"1,2\n" * 100_000).rows[-1] == ["1", "2"]


@pytest.mark.parametrize("content", [b"", b"\n\r\n\n", b"only text", b'a,"' + b"x" * 200_000])
def test_what_is_no_table_is_text(content: bytes) -> None:
    assert _shown("a.csv", content).kind in ("text", "table")


def test_json_is_laid_out_and_stays_as_it_was_written() -> None:
    assert _shown("a.json", b'{"b": 1.10,"a":[1e400,{"x":[]},{}],"b":"\\u0041\\",{"}').text == (
        '{\n  "b": 1.10,\n  "a": [\n    1e400,\n    {\n      "x": []\n    },\n    {}\n  ],\n  "b": "\\u0041\\",{"\n}'
    )


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"a": ', b"1" * 10_000, b"NaN", b'"\\ud800"', b"[" * 900 + b"]" * 900])
def test_json_that_is_deep_or_broken_is_text(content: bytes) -> None:
    assert _shown("a.json", content).kind == "text"


def test_a_long_text_is_cut_between_characters() -> None:
    found = _shown("a.txt", "é".encode() * 100_000)
    assert found.is_cut
    assert {*found.text} == {"é"}


@pytest.mark.parametrize("content", [b"\x00\x01", b"PK\x03\x04\x00", bytes(range(128, 256)) * 20])
def test_what_is_no_text_is_not_shown(content: bytes) -> None:
    assert _shown("a.txt", content).kind == "nothing"


def test_hidden_characters_are_shown() -> None:
    assert _shown("a.txt", "a\u202eb\r\n\x1b[31mc\td".encode()).text == "a\\u202eb\n\\x1b[31mc\td"


@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
@settings(max_examples=60, deadline=None)
def test_anything_has_a_preview(content: bytes) -> None:
    for name in ("a.csv", "b.json", "c", "d.tsv", "\u202egnp.exe"):
        found = _shown(name, content)
        assert all(text.encode() is not None for text in (found.text, *found.header, *(cell for row in found.rows for cell in row)))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_categories=["C"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(_JSON)
@example({"\U000e0100": None})  # a character that hides
@settings(max_examples=60, deadline=None)
def test_json_that_is_laid_out_says_the_same(value: object) -> None:
    found = _shown("a.json", json.dumps(value, ensure_ascii=False).encode())
    assert json.loads(found.text) == value
