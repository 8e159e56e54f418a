"""Bundles that are accepted: what the report says, and what unpacking writes."""

from __future__ import annotations

import hashlib
import io
import random
import stat
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchlite.bundles import bundle
from orchlite.bundles.bundle import BundleReport
from orchlite.core.errors import BadBundle
from orchlite.core.records import JunkWarning
from orchlite.core.settings import Limits

PROGRAM = b"print(1)\n"


class Pipe(io.RawIOBase):
    """A file that cannot seek, so that a writer must put sizes after the data."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def zipped(path: Path, files: Mapping[str, bytes], *, modes: Mapping[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def inspected(tmp_path: Path, files: Mapping[str, bytes]) -> BundleReport:
    return bundle.inspect(zipped(tmp_path / "b.zip", files), Limits())


def unpacked(archive: Path) -> Path:
    folder = archive.parent / "work"
    folder.mkdir()
    bundle.unpack(archive, folder)
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- Inspecting


def test_the_report_names_the_uploaded_bytes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM, "requirements.txt": b"B==1\na>=2\n"})
    report = bundle.inspect(path, Limits())
    assert report.sha == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report.size_bytes == path.stat().st_size
    assert report.requirements.lines == ("a>=2", "b==1")
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("names", "entrypoint"),
    [
        pytest.param(["a/main.py", "main.py"], "main.py", id="the root wins"),
        pytest.param(["b/main.py", "a/main.py"], "b/main.py", id="else archive order"),
        pytest.param(["a/b/main.py"], "a/b/main.py", id="however deep"),
        pytest.param(["a/not_main.py", "a/main.pyc", "z/main.py"], "z/main.py", id="the whole name counts"),
        pytest.param(["__MACOSX/main.py", "z/main.py"], "z/main.py", id="junk does not count"),
    ],
)
def test_the_entrypoint_is_the_main_of_the_root_else_the_first(names: list[str], entrypoint: str, tmp_path: Path) -> None:
    assert inspected(tmp_path, dict.fromkeys(names, PROGRAM)).entrypoint == entrypoint


@pytest.mark.parametrize("name", ["requirements.txt", "sub/requirements.txt"])
def test_the_requirements_file_is_found_in_any_folder(name: str, tmp_path: Path) -> None:
    report = inspected(tmp_path, {"main.py": PROGRAM, name: b"a==1"})
    assert report.requirements.lines == ("a==1",)
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"main.py": b""}, ["main.py", "empty"], id="empty program"),
        pytest.param({"main.py": b"\xef\xbb\xbf# soon\n\n"}, ["main.py", "empty"], id="program of comments"),
        pytest.param({"random.py": b""}, ["random.py", "standard library"], id="module of the standard library"),
        pytest.param({"json/__init__.py": b""}, ["json/__init__.py", "standard library"], id="package of the standard library"),
        pytest.param({"__MACOSX/._main.py": b"x", "a/.DS_Store": b""}, ["__MACOSX/._main.py", "a/.DS_Store"], id="junk"),
        pytest.param({"requirements.txt": b"a"}, ["requirements.txt, line 1", "a==VERSION"], id="no version"),
        pytest.param({"Requirements.txt": b"a==1"}, ["Requirements.txt", "lower case"], id="case of requirements"),
        pytest.param({"requirement.txt": b"a==1"}, ["Nothing is installed from 'requirement.txt'"], id="misspelt requirements"),
        pytest.param({"x/environment.yml": b""}, ["Nothing is installed from 'x/environment.yml'"], id="requirements of conda"),
        pytest.param({"requirements.in": b"", "Pipfile": b""}, ["'requirements.in', 'Pipfile'"], id="requirements of other tools"),
    ],
)
def test_an_oddity_that_is_acceptable_gets_a_warning(files: dict[str, bytes], words: list[str], tmp_path: Path) -> None:
    (warning,) = inspected(tmp_path, {"main.py": PROGRAM, **files}).warnings
    assert all(word in warning for word in words)
    assert isinstance(warning, JunkWarning) == ("a/.DS_Store" in files)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"a/main.py": PROGRAM, "random.py": b""}, id="not beside the entrypoint"),
        pytest.param({"main.py": PROGRAM, "json/data.json": b""}, id="folder without a package"),
        pytest.param({"main.py": PROGRAM, "lib/random.py": b""}, id="module of a package"),
    ],
)
def test_a_name_that_shadows_nothing_gets_no_warning(files: dict[str, bytes], tmp_path: Path) -> None:
    assert not [warning for warning in inspected(tmp_path, files).warnings if "standard library" in warning]


def test_other_files_for_installers_beside_requirements_get_no_warning(tmp_path: Path) -> None:
    files = {"main.py": PROGRAM, "requirements.txt": b"a==1", "requirements-dev.txt": b"b", "environment.yml": b"", "requirements.md": b""}
    assert inspected(tmp_path, files).warnings == ()


def test_a_text_about_requirements_gets_no_warning(tmp_path: Path) -> None:
    assert inspected(tmp_path, {"main.py": PROGRAM, "requirements.md": b"", "requirements/__init__.py": b""}).warnings == ()


def test_a_bundle_in_a_folder_of_its_own_is_told_where_relative_paths_start(tmp_path: Path) -> None:
    (warning,) = inspected(tmp_path, {"project/main.py": PROGRAM, "project/data.csv": b"", "__MACOSX/._x": b""}).warnings[:1]
    assert "starts 'project/main.py' in the bundle's root: relative paths start there, not in 'project/'" in warning
    assert "pack what is in that folder" in warning


def test_a_program_in_one_of_several_folders_is_told_where_relative_paths_start(tmp_path: Path) -> None:
    (warning,) = inspected(tmp_path, {"src/main.py": PROGRAM, "data/x.csv": b""}).warnings
    assert "relative paths start there, not in 'src/'" in warning
    assert "pack" not in warning


def test_a_module_that_shadows_another_for_a_program_in_a_subfolder_gets_a_warning(tmp_path: Path) -> None:
    (warning, _) = inspected(tmp_path, {"a/main.py": PROGRAM, "a/random.py": b""}).warnings
    assert "a/random.py" in warning


def test_of_much_junk_only_the_first_names_are_listed(tmp_path: Path) -> None:
    (warning,) = inspected(tmp_path, {"main.py": PROGRAM, **{f"__MACOSX/._{number}": b"" for number in range(500)}}).warnings
    assert "and 480 more" in warning


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", id="declared encoding"),
        pytest.param(b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\n# \xe9\n\nx = 1\n", id="declared for comments, in line 2"),
        pytest.param(b"\xef\xbb\xbfx = 1\r\n", id="byte order mark and CRLF"),
        pytest.param(b"x = 1\x0c\n", id="form feed"),
    ],
)
def test_a_program_in_its_own_encoding_is_accepted(source: bytes, tmp_path: Path) -> None:
    assert inspected(tmp_path, {"main.py": source}).warnings == ()


def test_a_warning_of_the_compiler_is_no_reason_to_refuse(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspected(tmp_path, {"main.py": b"print('\\d', 1 is 1)\n"}).entrypoint == "main.py"


def test_a_huge_program_is_accepted_unchecked_with_a_warning(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": b"x = 1 +\n" * (1 << 18)})
    (warning,) = bundle.inspect(path, Limits(ratio=2000)).warnings
    assert "not checked" in warning


def test_a_missing_file_raises_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle.inspect(tmp_path / "none.zip", Limits())


# --- What other tools write


def test_sizes_after_the_data_are_read(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with Pipe(path) as pipe, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.py", PROGRAM)
        archive.writestr("empty", b"")
        archive.writestr("data", b"x" * 10_000)
    bundle.inspect(path, Limits())
    assert tree(unpacked(path)) == {"main.py": PROGRAM, "empty": b"", "data": b"x" * 10_000}


@pytest.mark.parametrize("streamed", [False, True])
def test_entries_in_zip64_form_are_read(streamed: bool, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with (
        Pipe(path) if streamed else path.open("wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("main.py", "w", force_zip64=True) as entry,
    ):
        entry.write(PROGRAM)
    bundle.inspect(path, Limits())
    assert tree(unpacked(path)) == {"main.py": PROGRAM}


def test_a_comment_of_the_archive_is_accepted(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"packed on Monday"
    assert bundle.inspect(path, Limits()).entrypoint == "main.py"


@pytest.mark.parametrize(
    ("raw", "name"),
    [pytest.param("é".encode(), "é", id="UTF-8 unsaid"), pytest.param(b"\x82", "é", id="code page of DOS")],
)
def test_a_name_without_the_utf_8_flag_is_read_as_its_tool_meant_it(raw: bytes, name: str, tmp_path: Path) -> None:
    stand_in = b"?" * len(raw)
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM, stand_in.decode(): b"x"})
    path.write_bytes(path.read_bytes().replace(stand_in, raw))
    bundle.inspect(path, Limits())
    assert tree(unpacked(path)) == {"main.py": PROGRAM, name: b"x"}


def test_a_zip_in_the_bundle_is_an_ordinary_file(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"../main.py": b"evil"}).read_bytes()
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM, "inner.zip": inner})
    bundle.inspect(path, Limits())
    assert tree(unpacked(path))["inner.zip"] == inner


# --- Unpacking


def test_unpacking_writes_files_and_folders_and_skips_junk(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM, "a/b/c": b"c", "a/b/d": b"d", "empty/": b"", "__MACOSX/._main.py": b"x"})
    assert tree(unpacked(path)) == {"main.py": PROGRAM, "a": None, "a/b": None, "a/b/c": b"c", "a/b/d": b"d", "empty": None}


def test_a_folder_may_come_after_its_files(tmp_path: Path) -> None:
    assert tree(unpacked(zipped(tmp_path / "b.zip", {"a/main.py": PROGRAM, "a/": b""}))) == {"a": None, "a/main.py": PROGRAM}


@pytest.mark.parametrize(
    ("mode", "unpacked_mode"),
    [(0o100644, 0o600), (0o100777, 0o700), (0o104755, 0o700), (0o102755, 0o700), (0o100666, 0o600), (0, 0o600), (0o100000, 0o600)],
    ids=["plain", "executable", "setuid", "setgid", "writable by all", "unknown", "none"],
)
def test_only_the_executable_bit_survives(mode: int, unpacked_mode: int, tmp_path: Path) -> None:
    folder = unpacked(zipped(tmp_path / "b.zip", {"main.py": PROGRAM, "a/tool": b""}, modes={"a/tool": mode}))
    assert stat.S_IMODE((folder / "a/tool").stat().st_mode) == unpacked_mode
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o700


def test_a_large_bundle_is_read_in_parts(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(5 << 20)
    zeros = bytes((1 << 18) * 3 + 1)
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM, "noise": noise, "zeros": zeros})
    assert bundle.inspect(path, Limits(ratio=2000)).sha == hashlib.sha256(path.read_bytes()).hexdigest()
    assert tree(unpacked(path)) == {"main.py": PROGRAM, "noise": noise, "zeros": zeros}


def test_existing_files_and_links_are_never_written(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM})
    outside = tmp_path / "outside"
    work = tmp_path / "work"
    work.mkdir()
    (work / "main.py").symlink_to(outside)
    with pytest.raises(FileExistsError):
        bundle.unpack(path, work)
    assert not outside.exists()


def test_a_bundle_that_was_damaged_since_its_inspection_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM})
    content = path.read_bytes().replace(b"main.py", b"../x.py")
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="climbs out"):
        unpacked(path)
    assert not (tmp_path / "x.py").exists()


def test_content_that_was_damaged_since_its_inspection_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", {"main.py": PROGRAM})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, 14, 1)
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 16, 1)
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="CRC"):
        unpacked(path)


def test_a_bundle_that_was_replaced_is_not_unpacked(tmp_path: Path) -> None:
    accepted, work = tmp_path / "accepted.zip", tmp_path / "work"
    with zipfile.ZipFile(accepted, "w") as archive:
        archive.writestr("main.py", "print(1)")
    sha = hashlib.sha256(accepted.read_bytes()).hexdigest()
    work.mkdir()
    bundle.unpack(accepted, work, sha)
    assert (work / "main.py").read_text() == "print(1)"
    (work / "main.py").unlink()
    with zipfile.ZipFile(accepted, "w") as archive:
        archive.writestr("main.py", "print(2)")
    with pytest.raises(BadBundle, match="no longer the one that was uploaded"):
        bundle.unpack(accepted, work, sha)
    assert list(work.iterdir()) == []
