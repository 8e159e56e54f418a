"""Base images: accepted, refused, and merged with the requirements of a bundle."""

from __future__ import annotations

import json
import sys

import pytest

from orchlite.core.errors import BadArgument
from orchlite.environments import pin_sets
from orchlite.environments.base_image import checked_base_image, effective_requirements, warnings

_HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize("word", ["host", "clean"])
def test_host_and_clean_are_stored_as_they_are(word: str) -> None:
    assert checked_base_image(word) == word
    assert effective_requirements(word, ("six==1.0",)) == ("six==1.0",)
    assert warnings(word) == ()


def test_a_list_is_stored_as_json_of_normalised_lines() -> None:
    assert (
        checked_base_image(["Pandas", "numpy == 2.1.0\n"]) == checked_base_image(("numpy==2.1.0", "pandas")) == '["numpy==2.1.0", "pandas"]'
    )


@pytest.mark.parametrize("lines", [[], [""], ["# nothing"], ["wallaroo"]], ids=["nothing", "an empty line", "a comment", "wallaroo"])
def test_a_list_without_requirements_is_clean(lines: list[str]) -> None:
    assert checked_base_image(lines) == "clean"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        pytest.param("hosts", r"base_image is 'hosts'\. It takes 'host', 'clean', 'platform', 'platform-2023' or a", id="another word"),
        pytest.param('["six"]', "base_image is", id="its stored form"),
        pytest.param(None, "base_image is a NoneType", id="nothing"),
        pytest.param({"six"}, "base_image is a set", id="no order"),
        pytest.param(["six", 1], "base_image is a list", id="a number in it"),
        pytest.param(
            ["six", "-r other.txt"], r"base_image, line 2: '-r other\.txt' has the option '-r'", id="an option that is not allowed"
        ),
        pytest.param(["six=1"], r"base_image, line 1: .*Write six==1", id="a common mistake"),
        pytest.param(["six", "a\nb"], "base_image, line 2, has more than one line", id="two lines in one"),
        pytest.param(["six \\", "b"], "base_image, line 1, has more than one line", id="a continuation"),
        pytest.param(["\udcff\ud800"], "base_image, line 1: .* is not valid UTF-8", id="no text"),
    ],
)
def test_anything_else_is_refused_with_the_argument(value: object, complaint: str) -> None:
    with pytest.raises(BadArgument, match=complaint) as caught:
        checked_base_image(value)
    assert caught.value.details["argument"] == "base_image"


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="no set for this Python")
def test_the_name_of_a_set_is_stored_as_its_list_for_this_interpreter() -> None:
    assert json.loads(checked_base_image("platform")) == list(pin_sets.named("platform", "base_image").lines)


def test_a_refused_line_shows_no_password() -> None:
    with pytest.raises(BadArgument) as caught:
        checked_base_image(["git+https://me:secret@host/x"])
    assert "secret" not in str(caught.value) + str(caught.value.details)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("base", "own", "together"),
    [
        pytest.param(["six==1.0"], ["idna==3.0"], ["idna==3.0", "six==1.0"], id="different packages"),
        pytest.param(["six==1.0"], [], ["six==1.0"], id="a bundle without requirements"),
        pytest.param(["Some_Pkg==1.0"], ["some-pkg==2.0"], ["some-pkg==2.0"], id="the same package"),
        pytest.param(["six[x]==1.0"], ["six"], ["six"], id="with extras"),
        pytest.param(["six==1.0"], [f"six==2.0 {_HASH}"], [f"six==2.0 {_HASH}"], id="with a hash"),
        pytest.param(["six==1.0"], ["six @ https://h/six.zip"], ["six @ https://h/six.zip"], id="a link with a name"),
        pytest.param(["a-b==1.0"], ["https://h/a_b-2.0-py3-none-any.whl"], ["https://h/a_b-2.0-py3-none-any.whl"], id="a wheel's link"),
        pytest.param(["a-b==1.0"], ["https://h/x/a-b-2.0.tar.gz"], ["https://h/x/a-b-2.0.tar.gz"], id="an archive's link"),
        pytest.param(
            ["six==1.0"], ['six==2.0; python_version < "3"'], ["six==1.0", 'six==2.0; python_version < "3"'], id="not for this interpreter"
        ),
        pytest.param(
            ['six==1.0; python_version < "3"', "six==1.5"],
            ['six==2.0; python_version > "3"'],
            ['six==2.0; python_version > "3"'],
            id="both",
        ),
        pytest.param(["--pre", "six==1.0"], ["idna==3.0"], ["--pre", "idna==3.0", "six==1.0"], id="an option of the base"),
        pytest.param(["--only-binary=six", "six"], ["--no-binary=six"], ["--no-binary=six", "six"], id="an option of both"),
    ],
)
def test_the_bundles_requirements_win_over_those_of_the_base_image(base: list[str], own: list[str], together: list[str]) -> None:
    assert effective_requirements(checked_base_image(base), tuple(own)) == tuple(together)


def test_a_line_without_a_version_gets_a_warning() -> None:
    [first, second] = warnings(checked_base_image(["numpy==2.1.0", "pandas", "six[x]; python_version > '3'", "a @ https://h/a.zip"]))
    assert first == "base_image: pandas has no version, so that a later build may install another one. Write pandas==VERSION"
    assert second.startswith("base_image: six[x] has no version")
