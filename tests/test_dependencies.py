"""The lowest versions of other packages that an installation accepts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

_EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
_WITHOUT_ADVISORIES = {
    "fastapi": "0.133",
    "h11": "0.16",
    "jinja2": "3.1.6",
    "PyJWT": "2.15",
    "python-multipart": "0.0.31",
    "starlette": "1.3.1",
}
"""The first versions without a known security advisory, and of fastapi the first that accepts such a starlette."""


def _floors(extra: str) -> dict[str, Version]:
    requirements = map(Requirement, _EXTRAS[extra])
    return {one.name: Version(floor[1]) for one in requirements if (floor := re.search(r">=([\w.]+)", str(one.specifier)))}


def test_a_server_gets_no_version_with_a_known_advisory() -> None:
    floors = _floors("server")
    assert {name: floors[name] >= Version(floor) for name, floor in _WITHOUT_ADVISORIES.items()} == dict.fromkeys(_WITHOUT_ADVISORIES, True)


@pytest.mark.parametrize("extra", _EXTRAS)
def test_every_package_has_a_lowest_version(extra: str) -> None:
    assert len(_floors(extra)) == len(_EXTRAS[extra])


@pytest.mark.parametrize("extra", ["cli", "inference", "server", "validations"])
def test_developers_test_with_no_lower_versions(extra: str) -> None:
    developers = _floors("dev")
    assert [name for name, floor in _floors(extra).items() if developers[name] < floor] == []
