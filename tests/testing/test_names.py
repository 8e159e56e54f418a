"""The names of `orchlite.testing`: there on first use, typed, and no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchlite import testing


def test_every_public_name_is_there_and_listed() -> None:
    assert {name for name in testing.__all__ if getattr(testing, name).__name__ == name} == set(testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        testing.nonsense  # noqa: B018


def test_importing_the_package_loads_none_of_its_modules() -> None:
    program = "import sys, orchlite.testing\nprint(sorted(name for name in sys.modules if name.startswith('orchlite')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['orchlite', 'orchlite.testing']\n"
