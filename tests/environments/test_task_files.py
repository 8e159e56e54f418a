"""What all tasks share: placed once, complete, and independent of the host's files."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite.environments import task_files
from orchlite.environments.virtualenvs import embedded_pip

_PACKAGE = Path(orchlite.__file__).parent
_PIP = f"pip-1.0-{sys.implementation.cache_tag}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def sdk(cache: Path) -> Path:
    return task_files.place_sdk(cache)


@pytest.mark.slow
def test_every_source_file_is_copied_and_the_in_task_module_stands_at_the_top(sdk: Path) -> None:
    copied = {str(path.relative_to(sdk)) for path in sdk.rglob("*") if path.suffix in {".py", ".sql"}}
    everything = {path.relative_to(_PACKAGE) for path in _PACKAGE.rglob("*") if path.suffix in {".py", ".sql"}}
    inside = {str(path) for path in everything if path.parts[0] not in {"cli", "node", "ray", "rest", "testing", "web"}}
    own = {name for name in copied if not name.startswith("orchlite/_packaging/")}
    assert own == {name.removeprefix("sdk/") if name.startswith("sdk/wallaroo/") else f"orchlite/{name}" for name in inside}


_READS_REQUIREMENTS = """
import sys
sys.path.insert(0, sys.argv[1])
from orchlite.environments import requirements; from orchlite.environments import host_packages
print(*requirements.parse_requirements(b"Six [x] >= 1.0 ; python_version > '3'").lines)
print(*host_packages.conflicts(("six==1.0",), (sys.argv[2],)))
print("packaging" in sys.modules)
"""


@pytest.mark.slow
def test_the_copy_reads_requirements_where_nothing_else_is_installed(sdk: Path, tmp_path: Path) -> None:
    information = tmp_path / "grown-3.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: grown\nVersion: 3.0\nRequires-Dist: six>=1.17\n")
    command = [sys.executable, "-I", "-S", "-c", _READS_REQUIREMENTS, str(sdk), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        'six[x]>=1.0; python_version > "3"',
        "host package grown 3.0 needs six>=1.17, but the requirements installed six 1.0",
        "False",
    ]


def test_the_copy_returns_its_own_folder(sdk: Path, tmp_path: Path) -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from orchlite.environments import task_files as it; from pathlib import Path"
    command = [sys.executable, "-I", "-S", "-c", f"{script}; print(it.place_sdk(Path(sys.argv[2])))", str(sdk), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(sdk)
    assert list(tmp_path.iterdir()) == []


def test_using_the_copy_sets_its_time(cache: Path, sdk: Path) -> None:
    seal = sdk.with_name(sdk.name + ".seal")
    os.utime(seal, (1, 1))
    script = "import sys; from pathlib import Path; from orchlite.environments import task_files; task_files.place_sdk(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, str(cache)], env=os.environ | {"PYTHONPATH": str(_PACKAGE.parent)}, check=True)
    assert seal.stat().st_mtime > 1


def test_the_copy_holds_nothing_but_sources_and_bytecode(sdk: Path) -> None:
    assert {path.suffix for path in sdk.rglob("*") if not path.is_dir()} <= {".py", ".sql", ".pyc"}
    assert not [path for path in sdk.rglob("*") if path.is_symlink()]


def test_a_program_imports_the_copy_from_its_bytecode_and_writes_none(sdk: Path) -> None:
    before = sorted(sdk.rglob("*"))
    script = "import orchlite.core.errors as it; print(it.__file__, it.__cached__)"
    done = subprocess.run(
        [sys.executable, "-I", "-v", "-c", f"import sys; sys.path.insert(0, {str(sdk)!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    source = sdk / "orchlite" / "core" / "errors.py"
    assert done.stdout.split() == [str(source), str(source.parent / "__pycache__" / f"errors.{sys.implementation.cache_tag}.pyc")]
    assert f"matches {source}" in done.stderr
    assert sorted(sdk.rglob("*")) == before


def test_the_bytecode_is_used_although_the_sources_time_differs(sdk: Path) -> None:
    source = sdk / "orchlite" / "core" / "status.py"
    os.utime(source, (1, 1))
    done = subprocess.run(
        [sys.executable, "-I", "-v", "-c", f"import sys; sys.path.insert(0, {str(sdk)!r}); import orchlite.core.status"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"matches {source}" in done.stderr


def test_the_copy_is_found_again(cache: Path, sdk: Path) -> None:
    inode = sdk.stat().st_ino
    assert task_files.place_sdk(cache) == sdk
    assert sdk.stat().st_ino == inode


@pytest.mark.slow
def test_a_copy_that_was_removed_is_made_again(tmp_path: Path) -> None:
    first = task_files.place_sdk(tmp_path)
    first.rename(tmp_path / "elsewhere")
    assert task_files.place_sdk(tmp_path) == first
    assert (first / "orchlite" / "core" / "errors.py").is_file()


def test_a_half_filled_folder_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path)
    part = tmp_path / "installer" / f"{_PIP}.part"
    part.mkdir(parents=True)
    (part / "torn").write_text("")
    folder = task_files.place_pip(tmp_path, wheel)
    assert sorted(path.name for path in folder.iterdir()) == ["pip"]
    assert not part.exists()


def _wheel(folder: Path) -> Path:
    wheel = folder / "pip-1.0-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__pip-runner__.py", "print('ran')\n")
    return wheel


def _place(cache: str, wheel: str) -> str:
    return str(task_files.place_pip(Path(cache), Path(wheel)))


@pytest.mark.slow
def test_several_processes_place_pip_once(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        folders = pool.starmap(_place, [(str(tmp_path), str(wheel))] * 4)
    assert set(folders) == {str(tmp_path / "installer" / _PIP)}
    assert (tmp_path / "installer" / _PIP / "pip" / "__pip-runner__.py").is_file()


@pytest.mark.slow
def test_the_embedded_pip_runs_from_its_folder(tmp_path: Path) -> None:
    wheel = embedded_pip()
    program = task_files.place_pip(tmp_path, wheel) / "pip" / "__pip-runner__.py"
    done = subprocess.run([sys.executable, "-I", program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"pip {wheel.name.split('-')[1]} from {tmp_path}")


def test_the_folders_are_accessible_to_this_account_only(tmp_path: Path) -> None:
    folder = task_files.place_pip(tmp_path / "cache", _wheel(tmp_path))
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent, tmp_path / "cache")] == [0o500, 0o700, 0o700]


class TestAnIncompleteOrChangedFolder:
    @pytest.fixture(params=["pip", "sdk"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path]:
        wheel = _wheel(tmp_path)
        return lambda: task_files.place_pip(tmp_path, wheel) if request.param == "pip" else task_files.place_sdk(tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "change",
        [
            "added below",
            *("added", "removed", "replaced", "no seal", "seal cut off"),
        ],
    )
    def test_is_made_again(self, place: Callable[[], Path], change: str, caplog: pytest.LogCaptureFixture) -> None:
        folder = place()
        before = _files(folder)
        seal, source = folder.with_name(folder.name + ".seal"), next(folder.glob("*/*.py"))
        source.parent.chmod(0o700)
        folder.chmod(0o700)
        match change:
            case "added":
                (folder / "sitecustomize.py").write_text("print('changed')")
            case "added below":
                (source.parent / "more.py").touch()
            case "removed":
                source.unlink()
            case "replaced":
                source.unlink()
                source.write_text("print('changed')")
            case "no seal":
                seal.unlink()
            case "seal cut off":
                seal.write_bytes(seal.read_bytes()[:-1])
        assert place() == folder
        assert _files(folder) == before
        assert [record.levelname for record in caplog.records if str(folder) in record.getMessage()] == ["WARNING"]
        inode = folder.stat().st_ino
        assert place().stat().st_ino == inode, "once is enough"
        assert sorted(path.name for path in folder.parent.iterdir()) == sorted([folder.name, seal.name, "lock"])

    @pytest.mark.slow
    def test_cannot_be_changed_by_accident(self, place: Callable[[], Path]) -> None:
        folder = place()
        assert {path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o222} == set()


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix == ".py"}


@pytest.mark.slow
def test_pip_is_imported_from_its_bytecode_and_writes_none(tmp_path: Path) -> None:
    folder = task_files.place_pip(tmp_path, embedded_pip())
    before = sorted(folder.rglob("*"))
    program = folder / "pip" / "__pip-runner__.py"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([sys.executable, "-I", "-v", program, "list"], capture_output=True, text=True, check=True, env=environ)
    assert "could not create" not in done.stderr
    assert "wrote" not in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_bytecode_that_is_cut_off_by_a_full_disk_is_never_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: a write stops short in the same way."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from orchlite.environments import task_files;"
        " signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY));"
        " task_files.place_pip(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    wheel = tmp_path / "pip-1.0-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        # Its bytecode is longer than its source.
        archive.writestr("pip/__pip-runner__.py", "".join(f"def f{number}(): return {number}\n" for number in range(100)))
    command = [sys.executable, "-c", script, str(tmp_path), str(wheel), "4096"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(_PACKAGE.parent)})
    assert "File too large" in failed.stderr
    folder = task_files.place_pip(tmp_path, wheel)
    subprocess.run([sys.executable, "-I", folder / "pip" / "__pip-runner__.py"], check=True)
