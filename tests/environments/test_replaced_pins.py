"""Replacing pins that have no wheels for this Python: which lines change, and what is said of them."""

from __future__ import annotations

import sys

import pytest

from orchlite.core.errors import BadArgument
from orchlite.environments.replaced_pins import checked_replace_pins, replace_pins

_SET = ("numpy==1.23.5", "pandas==1.5.3")
_HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize("nothing", [None, [], (), ["# a comment"]])
def test_without_a_set_nothing_is_replaced(nothing: object) -> None:
    assert checked_replace_pins(nothing) == ()
    assert replace_pins(["pandas==1.3.4"], ()).lines == ("pandas==1.3.4",)


def test_a_list_is_normalised() -> None:
    assert checked_replace_pins(["Pandas == 1.5.3", "numpy==1.23.5"]) == _SET


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="no set for this Python")
def test_a_name_stands_for_the_packages_with_compiled_code() -> None:
    assert [line.partition("==")[0] for line in checked_replace_pins("platform")] == ["numpy", "pandas", "pyarrow"]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        pytest.param("host", r"replace_pins is 'host'\. It takes 'platform', 'platform-2023' or a list", id="no set"),
        pytest.param({"six"}, "replace_pins is a set", id="no order"),
        pytest.param(["six=1"], r"replace_pins, line 1: .*Write six==1", id="a common mistake"),
        pytest.param(["six==1", "six==2"], "two for one package", id="two versions"),
        pytest.param(["--pre", "six==1"], "a line that is not NAME==VERSION", id="an option"),
        pytest.param(["six>=1"], "a line that is not NAME==VERSION", id="a range"),
        pytest.param(["six==1.*"], "a line that is not NAME==VERSION", id="many versions"),
        pytest.param(["six==1; python_version > '3'"], "a line that is not NAME==VERSION", id="a marker"),
        pytest.param(["six @ https://h/six.zip"], "a line that is not NAME==VERSION", id="a link"),
    ],
)
def test_anything_else_is_refused_with_the_argument(value: object, complaint: str) -> None:
    with pytest.raises(BadArgument, match=complaint) as caught:
        checked_replace_pins(value)
    assert caught.value.details["argument"] == "replace_pins"


@pytest.mark.parametrize(
    ("own", "lines"),
    [
        pytest.param(["pandas==1.3.4"], ["numpy==1.23.5", "pandas==1.5.3"], id="a pin, and the rest of the set"),
        pytest.param(["pandas~=1.3.4"], ["numpy==1.23.5", "pandas==1.5.3"], id="a range that excludes the set's version"),
        pytest.param(["numpy>=1", "pandas==1.3.4", "six"], ["numpy==1.23.5", "pandas==1.5.3", "six"], id="a range beside a pin"),
        pytest.param(["pandas[excel]==1.3.4"], ["numpy==1.23.5", "pandas[excel]==1.5.3"], id="with extras"),
        pytest.param([f"pandas==1.3.4 {_HASH}"], ["numpy==1.23.5", "pandas==1.5.3"], id="with a hash"),
        pytest.param(['pandas==1.3.4; python_version > "3"'], ["numpy==1.23.5", "pandas==1.5.3"], id="for this interpreter"),
        pytest.param(["pandas @ https://h/pandas-1.3.4.zip"], ["numpy==1.23.5", "pandas==1.5.3"], id="a link"),
        pytest.param(["--pre", "a==1", "pandas==1.3.4"], ["--pre", "a==1", "numpy==1.23.5", "pandas==1.5.3"], id="an option first"),
    ],
)
def test_if_one_version_is_excluded_the_whole_set_is_installed(own: list[str], lines: list[str]) -> None:
    assert replace_pins(own, _SET).lines == tuple(lines)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(["six==1.0"], id="other packages"),
        pytest.param(["pandas"], id="no version"),
        pytest.param(["pandas>=1.3"], id="a range that contains the set's version"),
        pytest.param(["pandas==1.5.3"], id="the same version"),
        pytest.param(['pandas==1.3.4; python_version < "3"'], id="not for this interpreter"),
        pytest.param([], id="nothing"),
    ],
)
def test_where_no_version_is_excluded_nothing_changes(own: list[str]) -> None:
    assert replace_pins(own, _SET) == (tuple(own), ())


def test_each_change_is_said() -> None:
    own = ["pandas @ https://me:secret@h/pandas-1.3.4.zip"]
    assert replace_pins(own, _SET).changes == (
        "replace_pins: pandas @ https://****@h/pandas-1.3.4.zip is replaced by pandas==1.5.3",
        "replace_pins: numpy==1.23.5 is added, because the versions of the set belong together",
    )
