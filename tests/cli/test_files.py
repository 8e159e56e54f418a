"""The verbs `files` and `get`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_PROGRAM = """
import pathlib
pathlib.Path("data").mkdir()
pathlib.Path("data/scores.csv").write_text("1,2")
pathlib.Path("report.txt").write_text("fine")
pathlib.Path("link").symlink_to("/etc/passwd")
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a task `job`, whose run has made two files, and a schedule `later` without a run."""
    path = tmp_path_factory.mktemp("files")
    (path / "job").mkdir()
    (path / "job" / "main.py").write_text(_PROGRAM)
    with orchlite.Client(path / "store", workers=1) as wl:
        wl.run(path / "job", name="job")
        wl.list_orchestrations()[0].run_scheduled("later", "0 0 1 1 *")
    return path / "store"


@pytest.fixture
def on_it(call: Call, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line on that store."""
    monkeypatch.setenv("ORCHLITE_STORE", str(finished))
    return call


def test_files_lists_what_a_run_made_with_its_size(on_it: Call) -> None:
    assert [line.split() for line in on_it("files", "job").stdout.splitlines()[1:]] == [
        ["data/scores.csv", "3", "B"],
        ["report.txt", "4", "B"],
    ]
    [scores, report] = json.loads(on_it("files", "job", "--json").stdout)
    assert (scores["name"], scores["size_bytes"], Path(scores["path"]).read_text()) == ("data/scores.csv", 3, "1,2")
    assert report["name"] == "report.txt"


def test_get_copies_all_of_them_into_the_current_folder(on_it: Call, tmp_path: Path) -> None:
    assert "2 files copied to" in on_it("get", "job").stderr
    assert ((tmp_path / "data" / "scores.csv").read_text(), (tmp_path / "report.txt").read_text()) == ("1,2", "fine")
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    "words", [["report.txt"], ["report.txt", "into"], ["report.txt", "data/scores.csv", "into/deeper/"], ["into"]], ids=str
)
def test_get_takes_names_and_then_a_folder(on_it: Call, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "into").mkdir()
    names = [word for word in words if "into" not in word] or ["report.txt", "data/scores.csv"]
    folder = tmp_path / (words[-1] if "into" in words[-1] else "")
    assert json.loads(on_it("get", "job", *words, "--json").stdout) != []
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if "store" not in path.parts) == sorted(names)


def test_get_takes_a_path_as_files_prints_it(on_it: Call, tmp_path: Path) -> None:
    [scores, _] = json.loads(on_it("files", "job", "--json").stdout)
    assert on_it("get", "job", scores["path"], "into/").exit_code == 0
    assert (tmp_path / "into" / "data" / "scores.csv").read_text() == "1,2"


def test_get_replaces_nothing_unless_forced(on_it: Call, tmp_path: Path) -> None:
    (tmp_path / "report.txt").symlink_to("elsewhere")
    refused = on_it("get", "job")
    assert (refused.exit_code, "report.txt' exists already; nothing was copied." in refused.stderr) == (1, True)
    assert "--force" in refused.stderr
    assert not (tmp_path / "data").exists()
    assert on_it("get", "job", "--force").exit_code == 0
    assert not (tmp_path / "report.txt").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["absent.txt", "../result.json", "link", "main.py"])
def test_get_copies_only_what_the_run_made(on_it: Call, tmp_path: Path, name: str) -> None:
    refused = on_it("get", "job", name, "into/")
    assert (refused.exit_code, f"has no file {name!r}" in refused.stderr) == (2, True)
    assert "It has data/scores.csv, report.txt." in refused.stderr
    assert not (tmp_path / "into").exists()


def test_a_name_that_is_mistyped_makes_no_folder(on_it: Call, tmp_path: Path) -> None:
    assert "has no file 'reports.txt'" in on_it("get", "job", "reports.txt").stderr
    assert not (tmp_path / "reports.txt").exists()


@pytest.mark.parametrize("verb", ["files", "get"])
def test_a_task_that_has_had_no_run_has_no_files(on_it: Call, verb: str) -> None:
    refused = on_it(verb, "later")
    assert (refused.exit_code, "'later' has had no run yet" in refused.stderr) == (2, True)


def test_a_run_that_made_nothing_says_so(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print('nothing')"), "--name", "quiet")
    assert "none found" in call("files", "quiet").stderr
    assert "has left no file" in call("get", "quiet").stderr
