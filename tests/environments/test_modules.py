"""Which modules folders bring, which distributions bring them, and what requirements would install, as the folders show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchlite.environments.modules import Owner, is_namespace, modules_in, owners, with_dependencies


def _files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _distribution(folder: Path, name: str, version: str, *files: str, requires: tuple[str, ...] = (), top_level: str | None = None) -> None:
    information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    if top_level is not None:
        (information / "top_level.txt").write_text(top_level)


def test_modules_are_files_and_folders_and_those_of_the_folders_in_path_files(tmp_path: Path) -> None:
    site = tmp_path / "site"
    _files(site, "one.py", "fast.cpython-311-x86_64-linux-gnu.so", "package/__init__.py", "namespace/part.py", "one-1.0.dist-info/RECORD")
    _files(tmp_path, "source/mine/__init__.py", "source/notes.txt")
    (site / "mine.pth").write_text("# a comment\nimport os; os.getcwd()\n../source\n../missing\n")
    assert modules_in([site, tmp_path / "missing"]) == {"one", "fast", "package", "namespace", "mine"}


def test_a_folder_without_init_is_a_namespace_unless_another_folder_has_the_package(tmp_path: Path) -> None:
    _files(tmp_path, "a/shared/part.py", "b/shared/other.py", "c/shared/__init__.py", "d/single.py")
    folders = [str(tmp_path / name) for name in "abcd"]
    assert is_namespace("shared", folders[:2])
    assert not is_namespace("shared", folders)
    assert not is_namespace("single", folders)


def test_the_owners_of_a_module_are_found_by_top_level_names_and_by_files(tmp_path: Path) -> None:
    _distribution(tmp_path, "PyYAML", "6.0", "yaml/__init__.py", "_yaml/__init__.py", top_level="_yaml\nyaml\n")
    _distribution(tmp_path, "Py-Files", "2.0\x07", "files/__init__.py", "single.py", "fast.abi3.so", "other/yaml/__init__.py")
    found = owners(["yaml", "files", "single", "fast", "other", "absent"], [str(tmp_path)])
    mine = [Owner("py-files", "Py-Files 2.0\\x07")]
    assert found["yaml"] == [Owner("pyyaml", "PyYAML 6.0")]
    assert [found[name] for name in ("files", "single", "fast", "other", "absent")] == [mine, mine, mine, mine, []]
    _distribution(tmp_path, "late", "1.0", "absent.py")
    assert owners(["absent"], [str(tmp_path)]) == {"absent": [Owner("late", "late 1.0")]}


@pytest.mark.parametrize("file", ["METADATA", "RECORD"])
def test_a_distribution_whose_metadata_is_not_utf8_owns_no_module(tmp_path: Path, file: str) -> None:
    _distribution(tmp_path, "old", "1.0", "old.py")
    with (tmp_path / "old-1.0.dist-info" / file).open("ab") as damaged:
        damaged.write(b"Author: J\xf6rg\n")
    assert owners(["old"], [str(tmp_path)]) == {"old": []}
    assert (with_dependencies(["old"], [str(tmp_path)]) is None) == (file == "METADATA")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("--pre", "top==1.0 --hash=sha256:00"), {"top", "middle", "low-er"}),
        (('absent; sys_platform == "win32"', "low-er>=1"), {"low-er"}),
        (("top==2.0",), None),
        (("absent",), None),
        (("top[more]==1.0",), None),
        (("top @ https://example.com/top.zip",), None),
        (("https://example.com/top.zip",), None),
        (("lacking",), None),
        (('gone; platform_machine ~= "x"',), None),
    ],
)
def test_what_requirements_install_is_known_if_the_folders_have_all_of_it(
    tmp_path: Path, lines: tuple[str, ...], expected: set[str] | None
) -> None:
    _distribution(tmp_path, "top", "1.0", requires=("middle>=1", 'gone; extra == "more"'))
    _distribution(tmp_path, "middle", "1.0", requires=("Low_er", "top", 'gone; python_version < "3"'))
    _distribution(tmp_path, "low-er", "1.0")
    _distribution(tmp_path, "lacking", "1.0", requires=("gone",))
    assert with_dependencies(lines, [str(tmp_path)]) == expected
