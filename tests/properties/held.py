"""How many examples a property is held by: a few by default, many among the slow tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy


def held(few: int, many: int, *strategies: SearchStrategy[object]) -> Callable[[Callable[..., None]], Callable[[int], None]]:
    """Make a test of a property, which is called with what the strategies draw."""

    def decorate(holds: Callable[..., None]) -> Callable[[int], None]:
        @pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])
        def test(examples: int) -> None:
            settings(max_examples=examples, deadline=None)(given(*strategies)(holds))()

        return test

    return decorate
