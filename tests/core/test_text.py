"""Names and URLs as they stand in messages."""

from __future__ import annotations

import pytest

from orchlite.core.text import listed, mask_credentials, quoted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("main.py", "'main.py'", id="plain"),
        pytest.param("a'b", '"a\'b"', id="a quote"),
        pytest.param("a\nb\x1b", "'a\\nb\\x1b'", id="unprintable"),
        pytest.param("März", "'März'", id="letters of any script"),
        pytest.param("a" * 120, f"'{'a' * 120}'", id="as long as it may be"),
        pytest.param("a" * 60 + "b" + "c" * 60, f"'{'a' * 60}…{'c' * 60}'", id="longer"),
    ],
)
def test_a_name_is_quoted(name: str, expected: str) -> None:
    assert quoted(name) == expected


@pytest.mark.parametrize(("count", "expected"), [(1, "0"), (4, "0, 1, 2, 3"), (5, "0, 1, 2 and 2 more")])
def test_a_long_list_is_cut_and_the_rest_counted(count: int, expected: str) -> None:
    assert listed(list(map(str, range(count))), 3) == expected


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("https://user:word@host/x", "https://****@host/x", id="user and password"),
        pytest.param("https://token@host/x", "https://****@host/x", id="token"),
        pytest.param("https://user:w@rd@host/x", "https://****@host/x", id="at sign in the password"),
        pytest.param("git+https://u:p@h/r@abc", "git+https://****@h/r@abc", id="commit is kept"),
        pytest.param("see https://u:p@h and ftp://a:b@c", "see https://****@h and ftp://****@c", id="several in a text"),
        pytest.param("https://host/a@b", "https://host/a@b", id="at sign in the path"),
        pytest.param("a @ https://host", "a @ https://host", id="direct reference"),
        pytest.param("me@host", "me@host", id="no URL"),
        pytest.param("https://host/x.whl?sig=abc&se=1#sha256=1", "https://host/x.whl?****#sha256=1", id="query"),
        pytest.param("https://u:p@host/x?token=a@b ; extra", "https://****@host/x?**** ; extra", id="password and query"),
        pytest.param("('https://host?t=a', why?)", "('https://host?****', why?)", id="quotes"),
        pytest.param("https://host/x? what", "https://host/x? what", id="question mark"),
    ],
)
def test_credentials_of_urls_are_masked(text: str, masked: str) -> None:
    assert mask_credentials(text) == masked
