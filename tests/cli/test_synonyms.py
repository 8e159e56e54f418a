"""Verbs and options that orchlite does not know, and what it suggests instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from orchlite.cli import synonyms
from orchlite.cli.app import command_line

Call = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("ls", "`orchlite runs`, `orchlite tasks` or `orchlite orchestrations`"),
        ("stop nightly", "`orchlite kill` or `orchlite pause`"),
        ("log nightly", "`orchlite logs`"),
        ("run_once greeting", "`orchlite run`"),
        ("--quiet schedul x", "`orchlite schedule`"),
        ("RUNS", "`orchlite runs`"),
        ("connections rm x", "`orchlite connections delete`"),
        ("workspaces ls", "`orchlite workspaces`"),
        ("logs --tail 3", "`-n`"),
        ("logs --folow", "`--follow`"),
        ("upcoming --tz UTC", "`--timezone`"),
        ("--verbose runs", "`--debug`"),
    ],
)
def test_what_may_be_meant_is_suggested_in_one_line(call: Call, words: str, meant: str) -> None:
    refused = call(*words.split())
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.endswith(f". Did you mean {meant}?\n")


@pytest.mark.parametrize("words", ["frobnicate", "logs --cron x", "workspaces rm x"])
def test_where_nothing_is_near_the_help_is_named(call: Call, words: str) -> None:
    refused = call(*words.split())
    assert (refused.exit_code, "Did you mean" in refused.stderr) == (2, False)
    assert "--help`." in refused.stderr


def test_a_folder_in_the_place_of_a_verb_can_be_run(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my job").mkdir()
    (tmp_path / "my job" / "main.py").touch()
    assert "`orchlite run 'my job'`" in call("my job").stderr


def test_json_has_the_suggestion_too(call: Call) -> None:
    assert json.loads(call("--json", "ps").stderr)["error"]["message"] == "No such command 'ps'. Did you mean `orchlite status`?"


def test_every_suggestion_exists_and_no_synonym_hides_a_verb() -> None:
    context = click.Context(command_line)
    for words in synonyms._VERBS.values():
        for word in words:
            verb, *rest = word.split()
            command = command_line.get_command(context, verb)
            assert command is not None or verb in ("--help", "--version"), word
            known = [*getattr(command, "commands", ()), *(option for each in getattr(command, "params", ()) for option in each.opts)]
            assert all(each in known for each in rest), word
    assert not synonyms._VERBS.keys() & command_line.commands.keys()
