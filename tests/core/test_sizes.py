"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import pytest

from orchlite.core.sizes import over_text, parsed_size, size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536 * 1024, "1.5 MiB"), (5 * 2**30, "5 GiB"), (3072 * 2**40, "3072 TiB")],
    ids=str,
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(("text", "count"), [("512MiB", 2**29), ("4 GiB", 2**32), ("1.5KiB", 1536)])
def test_a_size_has_a_unit(text: str, count: int) -> None:
    assert parsed_size(text) == count


@pytest.mark.parametrize("text", ["4G", "4GB", "512", "MiB", "-1MiB", "4 gib", "4GiB ", "²MiB", ""])
def test_anything_else_is_no_size(text: str) -> None:
    assert parsed_size(text) is None


def test_a_size_over_a_limit_never_looks_equal_to_it() -> None:
    assert over_text(2**27, 100 * 2**20) == "128 MiB; the limit is 100 MiB"
    assert over_text(100 * 2**20 + 1, 100 * 2**20) == "104,857,601 B; the limit is 104,857,600 B"
