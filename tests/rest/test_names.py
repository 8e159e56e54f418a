"""The public names of `orchlite.rest`."""

from __future__ import annotations

import importlib.util

import pytest

from orchlite import rest


@pytest.mark.parametrize("name", rest.__all__)
def test_no_module_has_the_name_of_a_public_object_which_importing_it_would_replace(name: str) -> None:
    assert importlib.util.find_spec(f"orchlite.rest.{name}") is None
    assert callable(getattr(rest, name))
