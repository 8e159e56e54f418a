"""Charts of one line: a character a value, in what the encoding has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchlite.core.sparklines import sparkline


@pytest.mark.parametrize(
    ("values", "chart"),
    [([], ""), ([0.0], "▁"), ([5.0], "█"), ([0, 1, 2, 3, 4], "▁▃▅▇█"), ([None, 0.1, 8.0], "·▁█"), ([None], "·"), ([1e300, 1e-300], "█▁")],
    ids=str,
)
def test_a_value_is_a_character_from_nothing_to_the_largest(values: Sequence[float | None], chart: str) -> None:
    assert sparkline(values) == chart


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding"])
def test_an_encoding_without_blocks_gets_digits(encoding: str) -> None:
    assert sparkline([1, None, 8], encoding) == "2.8"
