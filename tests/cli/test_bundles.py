"""The verbs `init`, `check` and `pack`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


def test_init_creates_an_orchestration_that_runs(call: Call) -> None:
    assert call("init", "hello").exit_code == 0
    done = call("run", "hello", "--arg", "name=Ada")
    assert (done.exit_code, done.stdout) == (0, "Hello, Ada!\n")


@pytest.mark.slow
def test_the_generated_test_passes(call: Call, tmp_path: Path) -> None:
    call("init", "hello")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "hello")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_generated_test_uses_the_fixture_and_names_its_requirement(call: Call, tmp_path: Path) -> None:
    call("init", "hello")
    text = (tmp_path / "hello" / "test_main.py").read_text()
    assert "(run_orchestration)" in text
    assert "pip install pytest" in text


def test_check_has_no_warning_about_a_generated_orchestration(call: Call) -> None:
    call("init", "hello")
    assert json.loads(call("check", "hello", "--json").stdout)["warnings"] == []


def test_init_refuses_a_folder_that_is_not_empty(call: Call, folder: MakeFolder) -> None:
    mine = folder("print('mine')")
    refused = call("init", mine)
    assert refused.exit_code == 1
    assert "is not empty" in refused.stderr
    assert (mine / "main.py").read_text() == "print('mine')"


def test_a_limit_that_a_bundle_exceeds_can_be_raised_and_a_variable_changes_it_for_all_verbs(
    call: Call, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = folder({"main.py": "print(1)", "data": "x" * 2000})
    monkeypatch.setenv("ORCHLITE_LIMITS", "entry_bytes=1.5KiB depth=3")
    for verb in ("check", "pack", "upload"):
        refused = call(verb, mine)
        assert "'data' exceeds the limit of 1.5 KiB." in refused.stdout + refused.stderr
        assert "or raise the limit: --limit entry_bytes=SIZE" in refused.stdout + refused.stderr
    assert call("check", mine, "--limit", "entry_bytes=2KiB").exit_code == 0
    assert call("upload", mine, "--limit", "entry_bytes=2000").exit_code == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("entry=1MiB", "there is no limit 'entry'"),
        ("entries=1MiB", "'1MiB' is no number"),
        ("entry_bytes=4G", "'4G' is no size: write 500MiB"),
    ],
)
def test_a_change_of_no_limit_is_refused(call: Call, folder: MakeFolder, change: str, problem: str) -> None:
    refused = call("check", folder("print(1)"), "--limit", change)
    assert (refused.exit_code, problem in refused.stderr) == (2, True)


def test_check_lists_the_program_the_requirements_and_the_warnings(call: Call, folder: MakeFolder) -> None:
    found = call("check", folder({"main.py": "print(1)", "requirements.txt": "tabulate\n", "json.py": ""}))
    assert found.exit_code == 0
    for words in ("main.py", "tabulate", "json.py"):
        assert words in found.stdout
    assert "warning" in found.stdout


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({"readme.txt": ""}, "BadBundle", "main.py"),
        ({"main.py": "print(1)", "requirements.txt": "requests=2.0\n"}, "BadRequirement", "requests==2.0"),
        ({"main.py": "print("}, "BadBundle", "line 1"),
    ],
    ids=["no program", "a bad requirement", "a syntax error"],
)
def test_check_refuses_what_upload_refuses_and_exits_with_2(
    call: Call, folder: MakeFolder, files: dict[str, str], kind: str, words: str
) -> None:
    bad = folder(files)
    table = call("check", bad)
    assert table.exit_code == 2
    assert "refused" in table.stdout
    assert words in table.stdout
    told = json.loads(call("check", bad, "--json").stdout)
    assert (told["accepted"], told["error"]["kind"]) == (False, kind)
    assert call("upload", bad).exit_code == 2


def test_check_names_imports_that_no_requirement_brings(call: Call, folder: MakeFolder) -> None:
    mine = folder("import pytest, click, no_such_module\n")
    assert _warnings(call, mine) == ["come from your interpreter", "nothing brings no_such_module ("]
    assert _warnings(call, mine, "--base-image", "clean") == ["nothing brings pytest ("]
    (mine / "requirements.txt").write_text(f"pytest=={version('pytest')}\n")
    assert _warnings(call, mine) == ["comes from your interpreter", "nothing brings no_such_module ("]


def test_check_says_nothing_of_imports_where_what_the_requirements_bring_is_not_known(call: Call, folder: MakeFolder) -> None:
    unknown = folder({"main.py": "import pytest, no_such_module\n", "requirements.txt": "no-such-package==1.0\n"})
    assert _warnings(call, unknown) == []


def _warnings(call: Call, *words: object) -> list[str]:
    """Return the beginnings of the warnings of `check`."""
    found = json.loads(call("check", *words, "--json").stdout)["warnings"]
    return [re.match(r"comes? from your interpreter|nothing brings \w+ \(", warning)[0] for warning in found]  # type: ignore[index]


def test_check_leaves_no_store_behind(call: Call, folder: MakeFolder, store: Path) -> None:
    call("check", folder("print(1)"))
    assert not store.exists()


def test_pack_is_reproducible_and_replaces_a_file_only_with_force(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    mine = folder({"main.py": "print(1)", "data/x.csv": "1", ".hidden": ""})
    target = tmp_path / "mine.zip"
    first = json.loads(call("pack", mine, "-o", target, "--json").stdout)
    assert sorted(zipfile.ZipFile(target).namelist()) == ["data/", "data/x.csv", "main.py"]
    assert any(".hidden" in warning for warning in first["warnings"])
    refused = call("pack", mine, "-o", target)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert json.loads(call("pack", mine, "-o", target, "--force", "--json").stdout)["sha"] == first["sha"]


def test_pack_leaves_out_what_exclude_matches(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    call("pack", folder({"main.py": "print(1)", "big.bin": "1"}), "-o", tmp_path / "mine.zip", "--exclude", "*.bin")
    assert zipfile.ZipFile(tmp_path / "mine.zip").namelist() == ["main.py"]
