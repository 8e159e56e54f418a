"""The verb `manual`: Markdown into a pipe, formatted text on a terminal, through a pager if that has a keyboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]

_PAGES = Path(orchlite.__file__).parent / "manual"


def _on_a_terminal(*words: str, keyboard: bool, **variables: str) -> str:
    ours, theirs = os.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    command = [sys.executable, "-m", "orchlite", *words]
    process = subprocess.Popen(command, stdin=theirs if keyboard else subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # so Linux says that the other side is closed
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def test_without_a_topic_it_lists_the_topics_in_the_order_of_the_index(call: Call) -> None:
    topics = [line.split()[0] for line in call("manual").stdout.splitlines()[1:]]
    assert topics[0] == "glossary"
    assert sorted(topics) == sorted(path.stem for path in _PAGES.glob("*.md") if path.stem != "README")


@pytest.mark.parametrize("words", [["command-line"], ["command", "line"], ["Command Line"]])
def test_a_pipe_gets_the_markdown_of_a_topic(call: Call, words: list[str]) -> None:
    assert call("manual", *words).stdout == (_PAGES / "command-line.md").read_text(encoding="utf-8")


def test_an_unknown_topic_is_refused_with_the_list(call: Call) -> None:
    told = call("manual", "cooking")
    assert told.exit_code == 2
    assert "no page 'cooking'" in told.stderr
    assert "glossary, bundles, " in told.stderr


def test_the_index_is_no_topic(call: Call) -> None:
    assert call("manual", "README").exit_code == 2


def test_json_has_the_topics_and_a_page(call: Call) -> None:
    assert json.loads(call("manual", "--json").stdout)[0]["topic"] == "glossary"
    page = json.loads(call("manual", "runs", "--json").stdout)
    assert page == {"topic": "runs", "markdown": (_PAGES / "runs.md").read_text(encoding="utf-8")}


def test_a_terminal_gets_formatted_text_in_its_width() -> None:
    shown = _on_a_terminal("manual", "schedules", keyboard=False, NO_COLOR="1")
    assert "| value |" not in shown
    assert "](" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.slow
def test_a_terminal_gets_colours_unless_they_are_unwanted() -> None:
    assert "\x1b[" in _on_a_terminal("manual", "schedules", keyboard=False)
    assert "\x1b[" not in _on_a_terminal("manual", "schedules", keyboard=False, NO_COLOR="1")


def test_a_terminal_with_a_keyboard_gets_a_pager() -> None:
    assert "paged:" in _on_a_terminal("manual", "runs", keyboard=True, PAGER="sed s/^/paged:/")


@pytest.mark.slow
def test_a_pager_gets_colours_and_leaves_a_short_page_on_the_screen(tmp_path: Path) -> None:
    pager = tmp_path / "less"
    pager.write_text('#!/bin/sh\necho "flags: $LESS"\ncat\n')
    pager.chmod(0o755)
    shown = _on_a_terminal("manual", "runs", keyboard=True, PAGER=str(pager))
    assert "flags: -FRX" in shown
    assert "\x1b[" in shown
