"""What `orchlite.rest` hands out."""

from __future__ import annotations

import importlib.util

import pytest

from orchlite import rest


@pytest.mark.parametrize("name", rest.__all__)
def test_no_file_has_a_public_name_which_its_import_would_take_over(name: str) -> None:
    assert importlib.util.find_spec(f"orchlite.rest.{name}") is None
    assert callable(getattr(rest, name))
