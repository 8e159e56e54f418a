"""The named sets of pins: for which Pythons they are, and which is the nearest to what a bundle pins."""

from __future__ import annotations

import pytest

from orchlite.core.errors import BadArgument
from orchlite.environments.pin_sets import COMPILED, NAMES, named, nearest


@pytest.mark.parametrize(("name", "python"), [("platform", "3.11"), ("platform", "3.12"), ("platform", "3.13"), ("platform-2023", "3.11")])
def test_a_set_pins_each_of_its_packages_to_one_version(name: str, python: str) -> None:
    pairs = [line.split("==") for line in named(name, "base_image", python).lines]
    assert [package for package, _ in pairs] == [*COMPILED, "requests"]


def test_programs_of_2023_get_pandas_1() -> None:
    assert "pandas==1.5.3" in named("platform-2023", "base_image", "3.11").lines
    assert "pandas==2.2.0" in named("platform", "base_image", "3.11").lines


def test_a_python_without_the_set_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(BadArgument) as caught:
        named("platform-2023", "base_image", "3.13")
    assert str(caught.value) == (
        "base_image is 'platform-2023', which has no versions for this Python (3.13), only for 3.11."
        " Run orchlite with one of these, take 'platform', or write a list of requirements."
    )
    assert caught.value.details == {"argument": "base_image", "python": "3.13", "pythons": ("3.11",)}


@pytest.mark.parametrize("name", NAMES)
def test_a_python_without_any_set_is_told_to_write_a_list(name: str) -> None:
    with pytest.raises(BadArgument, match=r"Run orchlite with one of these, or write a list"):
        named(name, "base_image", "3.99")


@pytest.mark.parametrize(
    ("pinned", "python", "name"),
    [
        pytest.param({"pandas": "1.3.4"}, "3.11", "platform-2023", id="the same major version"),
        pytest.param({"pandas": "2.0.0"}, "3.11", "platform", id="a newer major version"),
        pytest.param({"numpy": "1.22.3"}, "3.11", "platform", id="equally near ones: the newest"),
        pytest.param({"numpy": "1.22.3", "pandas": "1.3.4"}, "3.11", "platform-2023", id="several packages"),
        pytest.param({"pandas": "1.3.4"}, "3.13", "platform", id="the only one for this Python"),
        pytest.param({"pandas": "1.3.4"}, "3.99", None, id="none for this Python"),
        pytest.param({"requests": "1.0"}, "3.11", None, id="a package whose wheels fit every Python"),
        pytest.param({"six": "1.0"}, "3.11", None, id="another package"),
    ],
)
def test_the_nearest_set_has_most_major_versions_in_common(pinned: dict[str, str], python: str, name: str | None) -> None:
    assert nearest(pinned, python) == name


def test_a_set_that_agrees_with_what_is_pinned_is_not_suggested() -> None:
    pinned = dict(line.split("==") for line in named("platform", "base_image", "3.13").compiled)
    assert nearest(pinned, "3.13") is None
