"""Names of modules that callers pass in."""

from __future__ import annotations

import pytest

from orchlite.core.errors import BadArgument
from orchlite.core.module_arguments import checked_modules


def test_names_of_modules_and_of_modules_in_packages_are_taken() -> None:
    assert checked_modules(["pandas", "xml.etree"], "preload") == ("pandas", "xml.etree")


@pytest.mark.parametrize("names", ["pandas", None, 1, [1], ["a b"], ["a:b"], [""], ["a..b"], ["é"]])
def test_anything_else_is_refused(names: object) -> None:
    with pytest.raises(BadArgument, match="no name of a module"):
        checked_modules(names, "preload")
