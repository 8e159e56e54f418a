"""A packed folder: reproducible, complete, and refused by name if something cannot be packed."""

from __future__ import annotations

import os
import socket
import stat
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from orchlite.bundles import bundle
from orchlite.bundles.packing import PackedFolder, pack
from orchlite.core.errors import BadArgument, BadBundle
from orchlite.core.records import JunkWarning
from orchlite.core.settings import Limits


def filled(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(data)
    return folder


def names(packed: PackedFolder) -> list[str]:
    with zipfile.ZipFile(BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def refusal(folder: Path, limits: Limits | None = None) -> BadBundle:
    with pytest.raises(BadBundle) as caught:
        pack(folder, limits=limits or Limits())
    assert str(caught.value).isprintable()
    assert caught.value.hint
    return caught.value


def test_the_same_files_give_the_same_bytes_whatever_their_times_order_and_permissions(tmp_path: Path) -> None:
    files = {"main.py": b"print(1)\n" * 99, "b": b"", "a/c": b"c", "a/b": b"b"}
    one = filled(tmp_path / "one", files)
    other = filled(tmp_path / "other", dict(reversed(files.items())))
    for path in other.rglob("*"):
        path.chmod(0o740 if path.is_dir() else 0o606)
        os.utime(path, (1, 1))
    assert pack(one, limits=Limits()).content == pack(other, limits=Limits()).content


def test_the_time_of_packing_has_no_effect(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"x = 1\n"})
    with zipfile.ZipFile(BytesIO(pack(folder, limits=Limits()).content)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_entries_are_sorted_and_empty_folders_kept(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "b/c": b"", "a.txt": b"", "a/z": b"", "out/": b""})
    assert names(pack(folder, limits=Limits())) == ["a.txt", "a/", "a/z", "b/", "b/c", "main.py", "out/"]


def test_only_the_executable_bit_is_kept(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "tool": b""})
    (folder / "main.py").chmod(0o666)
    (folder / "tool").chmod(0o4710)
    with zipfile.ZipFile(BytesIO(pack(folder, limits=Limits()).content)) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert modes == {"main.py": stat.S_IFREG | 0o644, "tool": stat.S_IFREG | 0o755}


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        pytest.param(".env", ".env", id="hidden file"),
        pytest.param(".git/config", ".git/", id="hidden folder"),
        pytest.param("a/.ipynb_checkpoints/x", "a/.ipynb_checkpoints/", id="hidden folder in a folder"),
        pytest.param("a/__pycache__/main.pyc", "a/__pycache__/", id="cache"),
        pytest.param("a/x.pyc", "a/x.pyc", id="compiled module"),
        pytest.param("node_modules/x/y", "node_modules/", id="node_modules"),
        pytest.param("envs/mine/pyvenv.cfg", "envs/mine/", id="virtual environment"),
        pytest.param("a/Thumbs.db", "a/Thumbs.db", id="files of desktop systems"),
    ],
)
def test_files_that_are_never_packed_are_left_out_and_listed(name: str, left_out: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", name: b"x"})
    packed = pack(folder, limits=Limits())
    assert packed.left_out == (left_out,)
    assert not any(entry.startswith(left_out) for entry in names(packed))
    assert "main.py" in names(packed)


def test_one_warning_names_what_was_left_out_and_another_the_junk(tmp_path: Path) -> None:
    junk = [".git/", "a/.ipynb_checkpoints/", "a/Thumbs.db", "a/__pycache__/", "node_modules/"]
    others = [".env", ".venv/", "a/data.csv", "envs/mine/"]
    files = [name + "pyvenv.cfg" if name.endswith("/") else name for name in junk + others]
    warnings = pack(filled(tmp_path / "f", dict.fromkeys(files, b"x")), exclude=["*.csv"], limits=Limits()).warnings()
    assert warnings == (
        "left out of the bundle: .env, .venv/, a/data.csv, envs/mine/; variables of a .env are given with env= or --env-file",
        "left out of the bundle: .git/, a/.ipynb_checkpoints/, a/Thumbs.db, a/__pycache__/, node_modules/",
    )
    assert [isinstance(warning, JunkWarning) for warning in warnings] == [False, True]


def test_of_what_was_left_out_twenty_names_are_listed_with_the_way_out(tmp_path: Path) -> None:
    [warning] = pack(filled(tmp_path / "f", {f".{number}": b"" for number in range(10, 40)}), limits=Limits()).warnings()
    end = ".29 and 10 more; if the program needs a name with a dot in front, rename it, or upload a ZIP"
    assert warning.startswith("left out of the bundle: .10, .11, ")
    assert warning.endswith(end)


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        pytest.param("*.csv", ("a/b.csv", "c.csv"), id="bare name"),
        pytest.param("a/*", ("a/b.csv", "a/keep/"), id="path"),
        pytest.param("a", ("a/",), id="folder"),
        pytest.param("a/", ("a/",), id="folder with a slash"),
        pytest.param("?.csv", ("a/b.csv", "c.csv"), id="question mark"),
        pytest.param("A", (), id="the case counts"),
        pytest.param("b", (), id="the whole name counts"),
    ],
)
def test_exclude_leaves_out_what_it_matches(pattern: str, left_out: tuple[str, ...], tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "a/b.csv": b"", "a/keep/x": b"", "c.csv": b""})
    assert pack(folder, exclude=[pattern], limits=Limits()).left_out == left_out


def test_folders_that_are_left_out_are_not_read(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "big/data": b"x" * 1000})
    (folder / "big/CON").symlink_to("/")
    (folder / ".venv").symlink_to("/")
    (folder / "link").symlink_to("/")
    assert pack(folder, exclude=["big", "link"], limits=Limits(entry_bytes=10)).left_out == (".venv", "big/", "link")


@pytest.mark.parametrize("target", ["main.py", "a", "nowhere"])
def test_a_symbolic_link_is_refused_by_name(target: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "a/b": b""})
    (folder / "a/link").symlink_to(folder / target)
    error = refusal(folder)
    assert error.details["entry"] == "a/link"
    assert "symbolic link" in error.message
    assert "exclude" in str(error.hint)


def test_a_pipe_is_refused_by_name(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b""})
    os.mkfifo(folder / "pipe")
    assert refusal(folder).details["entry"] == "pipe"


def test_a_socket_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path / "f", {"main.py": b""})
    monkeypatch.chdir(folder)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door")
        assert refusal(folder).details["entry"] == "door"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param(b"caf\xe9", "not valid UTF-8", id="not UTF-8"),
        pytest.param(b"a\nb", "control character", id="control character"),
        pytest.param(b"a\\b", "backslash", id="backslash"),
        pytest.param(b"a.", "dot or a space", id="trailing dot"),
        pytest.param(b"aux.py", "Windows device", id="device name"),
    ],
)
def test_a_bad_name_is_refused(name: bytes, complaint: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b""})
    (folder / os.fsdecode(name)).write_bytes(b"")
    error = refusal(folder)
    assert complaint in error.message
    assert error.details["entry"] == os.fsdecode(name)


def test_two_names_for_one_file_are_refused(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", "a/x": b"", "A/y": b""})
    if len(list(folder.iterdir())) < 3:
        pytest.skip("this file system takes A and a for one")
    assert "differ only by case" in refusal(folder).message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["secret", "folder/"])
def test_an_unreadable_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"", name: b""})
    (folder / name).chmod(0)
    error = refusal(folder)
    (folder / name).chmod(0o700)
    assert error.details["entry"] == name
    assert "cannot be read" in error.message


@pytest.mark.parametrize(
    ("limits", "details", "hint"),
    [
        pytest.param(Limits(entries=3), {"limit": 3}, "Limits.entries", id="entries"),
        pytest.param(Limits(entry_bytes=99), {"entry": "b/y", "limit_bytes": 99}, "Limits.entry_bytes", id="entry"),
        pytest.param(Limits(unpacked_bytes=150), {"entry": "b/y", "limit_bytes": 150}, "Limits.unpacked_bytes", id="all together"),
        pytest.param(Limits(upload_bytes=200), {"entry": "b/", "limit_bytes": 200}, "Limits.upload_bytes", id="upload"),
        pytest.param(Limits(depth=1), {"entry": "b/y", "limit": 1}, "Limits.depth", id="depth"),
        pytest.param(Limits(path_bytes=2), {"entry": "b/y", "limit_bytes": 2}, "Limits.path_bytes", id="path"),
    ],
)
def test_a_limit_that_is_exceeded_is_named(limits: Limits, details: dict[str, object], hint: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"a": os.urandom(90), "b/y": b"y" * 100, "c": b""})
    error = refusal(folder, limits)
    assert error.details == details
    assert hint in str(error.hint)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b""})
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(folder).details["entry"] == "huge"


def test_a_file_of_zeros_is_packed_so_that_inspection_accepts_it(tmp_path: Path) -> None:
    folder = filled(tmp_path / "f", {"main.py": b"print(1)\n", "zeros": bytes(2 << 20)})
    path = tmp_path / "b.zip"
    path.write_bytes(pack(folder, limits=Limits()).content)
    assert bundle.inspect(path, Limits()).entrypoint == "main.py"


def test_an_empty_folder_is_packed_and_then_refused_for_its_missing_program(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(pack(filled(tmp_path / "f", {"a/": b""}), limits=Limits()).content)
    with pytest.raises(BadBundle, match=r"no main\.py"):
        bundle.inspect(path, Limits())


@pytest.mark.parametrize("name", ["main.py", "nowhere"])
def test_only_a_folder_is_packed(name: str, tmp_path: Path) -> None:
    filled(tmp_path, {"main.py": b""})
    with pytest.raises(BadArgument) as caught:
        pack(tmp_path / name, limits=Limits())
    assert caught.value.details["argument"] == "path"
    assert caught.value.hint


def test_a_single_string_as_exclude_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument) as caught:
        pack(tmp_path, exclude="*.csv", limits=Limits())
    assert caught.value.details["argument"] == "exclude"
    assert "exclude=['*.csv']" in str(caught.value.hint)
