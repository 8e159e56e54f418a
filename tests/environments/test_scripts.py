"""Scripts of an environment start wherever it lies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchlite.environments import scripts, virtualenvs
from orchlite.environments.builds import Builds


@pytest.fixture(params=["with blanks", "it's $HOME", "l" * 150], ids=["blanks", "quotes", "long"])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name: str = request.param
    folder = tmp_path / name / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    return folder


def _script(programs: Path, *lines: str, encoding: str = "utf-8") -> Path:
    script = programs / "tool"
    script.write_text(f"#!{programs}/python\n" + "\n".join(lines), encoding=encoding)
    script.chmod(0o755)
    return script


def _output(script: Path) -> str:
    return subprocess.run([script, "a b", "c"], capture_output=True, text=True, encoding="utf-8", check=True).stdout.strip()


def test_a_script_below_such_a_path_starts_with_its_arguments(programs: Path) -> None:
    script = _script(programs, "import sys", "print(sys.argv[1:], __doc__ is None)")
    scripts.mend(programs)
    assert _output(script).startswith("['a b', 'c']")
    assert [item.name for item in sorted(programs.iterdir())] == ["python", "tool"]


def test_a_declared_encoding_still_counts(programs: Path) -> None:
    script = _script(programs, "# -*- coding: latin-1 -*-", "import sys", "sys.stdout.buffer.write('é'.encode())", encoding="latin-1")
    scripts.mend(programs)
    assert _output(script) == "é"


def test_a_file_that_is_linked_elsewhere_is_not_written_to(programs: Path) -> None:
    script = _script(programs, "print(1)")
    other = programs.parent / "cached"
    other.hardlink_to(script)
    before = other.read_bytes()
    scripts.mend(programs)
    assert other.read_bytes() == before
    assert script.read_bytes() != before


def test_other_files_are_left_alone(programs: Path) -> None:
    (programs / "shell").write_text("#!/bin/sh\necho hello\n")
    (programs / "other").write_text("#!/usr/bin/env python\n")
    (programs / "binary").write_bytes(b"\x7fELF\0")
    before = {item.name: item.read_bytes() for item in programs.iterdir() if item.name != "python"}
    scripts.mend(programs)
    assert {item.name: item.read_bytes() for item in programs.iterdir() if item.name != "python"} == before


def test_scripts_below_an_ordinary_path_are_left_alone(tmp_path: Path) -> None:
    folder = Path("/tmp") / "x"
    assert not folder.exists()
    scripts.mend(folder)  # it does not even read the folder


def test_a_finished_environment_has_mended_scripts(tmp_path: Path) -> None:
    with Builds(tmp_path / "my cache", virtualenvs).building("key", lambda: False) as build:
        python = build.create()
        script = _script(python.parent, "import sys", "print(sys.argv[1:])")
        build.finish()
        assert _output(script) == "['a b', 'c']"
