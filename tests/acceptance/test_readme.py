"""The README: short, in its order, and true; its two commands are those that are run elsewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.pages import MANUAL, README, ROOT, blocks, run_page

_TEXT = README.read_text(encoding="utf-8")
_SECTIONS = [
    "Install",
    "Run",
    "Write a main.py",
    "Schedule it",
    "Test it",
    "In a notebook",
    "Look at it, and serve the platform's API",
    "What a run sees",
    "Limits",
    "Read on",
]


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(_TEXT.encode()) <= 9000


def test_its_sections_stand_in_the_order_in_which_a_reader_needs_them() -> None:
    assert re.findall(r"^## (.+)$", _TEXT, re.MULTILINE) == _SECTIONS


def test_a_picture_stands_before_the_first_section() -> None:
    assert "```console\n$ orchlite run " in _TEXT.partition("\n## ")[0]


@pytest.mark.slow
def test_every_snippet_does_what_stands_below_it_and_installs_the_manual(tmp_path: Path) -> None:
    run_page(README, tmp_path / "home")
    command = tmp_path / "home" / ".venv" / "bin" / "orchlite"
    shown = subprocess.run([command, "manual", "glossary"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout == (MANUAL / "glossary.md").read_text(encoding="utf-8")


def test_its_two_commands_are_what_ci_runs_word_for_word() -> None:
    commands = [block.text for block in blocks(README) if block.mark == "ci"]
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert [command for command in commands if f"readme '{command.strip()}'" not in ci] == []


def test_the_files_that_it_names_are_there() -> None:
    for name in re.findall(r"`((?:tests|examples|orchlite)/[\w./-]+)`", _TEXT) + re.findall(r"\]\(((?!https?:)[^)#]+)\)", _TEXT):
        assert (ROOT / name).exists(), name
