"""A bundle with several files named main.py: one is run, and the report says which, and which are not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from orchlite.bundles.bundle import BundleReport, inspect
from orchlite.core.settings import Limits


def _report(folder: Path, *names: str) -> BundleReport:
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "print(1)")
    return inspect(path, Limits())


def test_the_one_at_the_root_is_run_and_the_others_are_named(tmp_path: Path) -> None:
    report = _report(tmp_path, "a/main.py", "main.py", "b/main.py")
    assert report.entrypoint == "main.py"
    assert report.warnings == ("3 files are named main.py: a run starts 'main.py', not 'a/main.py', 'b/main.py'.",)


def test_of_several_in_folders_the_first_is_run_with_the_way_to_another(tmp_path: Path) -> None:
    report = _report(tmp_path, "b/main.py", "a/main.py")
    assert report.entrypoint == "b/main.py"
    [warning] = report.warnings
    assert warning.startswith("2 files are named main.py: a run starts 'b/main.py', not 'a/main.py'. Give the folder")


def test_of_many_not_all_are_named(tmp_path: Path) -> None:
    [warning] = _report(tmp_path, "main.py", *(f"f{number}/main.py" for number in range(100))).warnings
    assert warning.startswith("101 files")
    assert "and 80 more" in warning


@pytest.mark.parametrize("names", [["main.py"], ["a/main.py"], ["main.py", "a/main.pyc", "a/my_main.py", "__MACOSX/main.py"]], ids=" ".join)
def test_one_alone_is_no_reason_to_warn(tmp_path: Path, names: list[str]) -> None:
    assert not [warning for warning in _report(tmp_path, *names).warnings if "files are named" in warning]
