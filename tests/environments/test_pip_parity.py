"""What uv installs and pip would not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchlite.environments.pip_parity import difference


def _installed(folder: Path, version: str, needed: str | None = None) -> Path:
    information = folder / f"some_thing-{version}.dist-info"
    information.mkdir()
    requires = f"Requires-Python: {needed}\n" if needed else ""
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: Some.thing\nVersion: {version}\n{requires}")
    return folder


@pytest.mark.parametrize("needed", [None, ">=3.8", ">=3.8,!=3.9.0", "<99", "nonsense"])
def test_a_package_for_this_python_is_no_difference(needed: str | None, tmp_path: Path) -> None:
    assert difference([_installed(tmp_path, "1.0", needed)], ("some-thing",)) is None


@pytest.mark.parametrize("needed", ["<3.9", ">=3.8,<3.9", ">=99", "!=3.*"])
def test_a_package_for_another_python_is_a_difference(needed: str, tmp_path: Path) -> None:
    assert difference([_installed(tmp_path, "1.0", needed)], ("some-thing",)) == f"Some.thing 1.0 needs Python {needed}"


@pytest.mark.parametrize("lines", [("some-thing>0.9",), ("other",), ("some-thing==2.0rc10",)])
def test_a_pre_release_is_a_difference(lines: tuple[str, ...], tmp_path: Path) -> None:
    assert difference([_installed(tmp_path, "2.0rc1")], lines) == "Some.thing 2.0rc1 is a pre-release"


@pytest.mark.parametrize("lines", [("some-thing==2.0rc1",), ("some-thing[x]==2.0rc1; os_name == 'x'",), ("--pre", "other")])
def test_a_pre_release_that_is_asked_for_is_no_difference(lines: tuple[str, ...], tmp_path: Path) -> None:
    assert difference([_installed(tmp_path, "2.0rc1")], lines) is None
