"""Rows of a log as HTML: colours are classes, everything else is text, whatever a program writes."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchlite.web.log_html import row_html
from orchlite.web.visible import visible


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>&amp;", "plain &lt;b&gt;&amp;amp;"),
        ("\x1b[31mred\x1b[0m, not", '<span class="f1">red</span>, not'),
        ("\x1b[1;92;44mx", '<span class="f10 g4 b">x</span>'),
        ("\x1b[mx\x1b[;mx", "xx"),
        ("\x1b[7mx\x1b[27my", '<span class="fv gv">x</span>y'),
        ("\x1b[31;42;7mx", '<span class="f2 g1">x</span>'),
        ("\x1b[38;5;196mx\x1b[38;2;0;0;255my\x1b[48:5:244mz", None),
        ("\x1b[30;40mhidden?", '<span class="f0">hidden?</span>'),
        ("\x1b[8mconcealed?", "concealed?"),
        ("\x1b[3;4;9mx\x1b[23;24;29my", '<span class="i s u">x</span>y'),
        ("\x1b[2K\x1b[?25lx\x1b[10A", "x"),
        ("\x1b]8;;http://h\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\x08b\x00", "a\\x08b\\x00"),
        ("\u202eevil\u202c", "\\u202eevil\\u202c"),
        ("tab\there 📈 \u200d \u00a0", "tab\there 📈 \u200d \u00a0"),
        ("\x1b[38;5mx", "x"),
        ("\x1b[999999999999;31mx", '<span class="f1">x</span>'),
    ],
)
def test_a_row_has_its_colours_and_its_text(text: str, html: str | None) -> None:
    shown = row_html(text)
    assert shown == html if html is not None else re.fullmatch(r'(<span class="[fg0-9 ]+">[xyz]</span>)+', shown)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("An Error, error", "An <mark>Error</mark>, <mark>error</mark>"),
        ("a.b", "a.b"),
        ("\x1b[31merror", '<span class="f1"><mark>error</mark></span>'),
        ("<error>", "&lt;<mark>error</mark>&gt;"),
    ],
)
def test_words_are_marked(text: str, html: str) -> None:
    assert row_html(text, "error") == html


class _Seen(HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


_HOSTILE = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            ["\x1b[", "m", ";", "31", "\x1b]8;;", "\x07", "\x9b", "<script>alert(1)</script>", '" onload="', "\u202e", "7", "0"]
        ),
    )
).map("".join)


@given(text=_HOSTILE, words=st.sampled_from(["", "script", "<", "31", "\\"]))
@settings(max_examples=100, deadline=None)
def test_nothing_that_is_written_becomes_markup(text: str, words: str) -> None:
    seen = _Seen(str(row_html(text, words)))
    assert {tag for tag, _ in seen.tags} <= {"span", "mark"}
    assert all(name == "class" and re.fullmatch(r"[a-z0-9 ]+", value or "") for _, attrs in seen.tags for name, value in attrs)
    assert seen.text == visible(seen.text)
    assert row_html(text, words).encode() is not None


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_visible_text_hides_nothing_and_is_stable(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert len(shown) >= len(text)
    assert not {*shown} & {*map(chr, range(32))} - {"\t"}


def test_the_first_places_of_a_row_are_marked_only_which_makes_it_little_longer() -> None:
    assert row_html("x" * 1000 + "\x1b[31m" + "x" * 1000, "X").count("<mark>x</mark>") == 20
    assert row_html("\x1b[31mx\x1b[32mx" * 1000, "x").count("<mark>x</mark>") == 20
