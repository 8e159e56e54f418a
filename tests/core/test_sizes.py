"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import pytest

from orchlite import BadArgument
from orchlite.core.sizes import checked_size, size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536 * 1024, "1.5 MiB"), (5 * 2**30, "5 GiB"), (3072 * 2**40, "3072 TiB")],
    ids=str,
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(("given", "count"), [("512MiB", 2**29), ("4 GiB", 2**32), ("1.5KiB", 1536), (1000, 1000)], ids=str)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(given: str | int, count: int) -> None:
    assert checked_size(given, "memory", 0, 2**40) == count


@pytest.mark.parametrize("given", ["4G", "4GB", "512", "MiB", "-1MiB", "4 gib", "4GiB ", "²MiB", True, 1.5, -1, None, b"1KiB"], ids=repr)
def test_anything_else_is_refused(given: object) -> None:
    with pytest.raises(BadArgument, match="memory"):
        checked_size(given, "memory", 0, 2**40)


def test_a_size_out_of_bounds_is_refused_with_both() -> None:
    with pytest.raises(BadArgument, match=r"memory is 1 MiB\. It takes 64 MiB to 1 TiB\."):
        checked_size("1MiB", "memory", 2**26, 2**40)
