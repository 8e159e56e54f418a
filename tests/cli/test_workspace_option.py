"""`--workspace`: each verb either looks in that workspace or refuses the option."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from orchlite.cli.app import command_line

Call = Callable[..., Result]

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "check": (".",),
    "compare": ("x", "y"),
    "completion": ("bash",),
    "connections create": ("mine", "sql"),
    "connections delete": ("mine",),
    "connections update": ("mine", "--type", "sql"),
    "files": ("x",),
    "get": ("x",),
    "init": ("new",),
    "kill": ("x",),
    "metrics": ("x",),
    "orchestrations delete": ("x",),
    "pack": (".",),
    "pause": ("x",),
    "pipeline-logs": ("x",),
    "rerun": ("x",),
    "restore": (".", "there"),
    "resume": ("x",),
    "run": ("x",),
    "schedule": ("x", "@daily"),
    "seed": ("x",),
    "show": ("x",),
    "trigger": ("x",),
    "upcoming": ("@daily",),
    "upload": (".",),
    "workspaces create": ("another",),
    "backup": ("there",),
}
_ANYWHERE = {
    *("backup", "check", "completion", "connections delete", "connections update", "doctor", "events", "health", "manual", "pack"),
    *("open", "prune", "report", "restore", "serve", "start", "status", "token", "upcoming", "workspaces", "workspaces create"),
}
_PASSED_ON = {"init"}
"""It has no store; the command that it prints has the workspace."""


def _verbs(verb: click.Command, *above: str) -> Iterator[str]:
    if isinstance(verb, click.Group):
        for name, below in verb.commands.items():
            yield from [" ".join((*above, name))] if verb is command_line or above else []
            yield from _verbs(below, *above, name)


@pytest.fixture
def with_store(call: Call) -> Call:
    """Call the command line, for a store that has only the workspace `default`."""
    call("workspaces", "create", "first")
    return call


@pytest.mark.parametrize("verb", sorted(set(_verbs(command_line))))
def test_every_verb_looks_in_the_workspace_or_refuses_the_option(with_store: Call, verb: str) -> None:
    words = (*verb.split(), *_ARGUMENTS.get(verb, ()))
    done = with_store(*words, "-w", "nosuch")
    if verb in _PASSED_ON:
        assert "--workspace nosuch" in done.stderr
        return
    assert done.exit_code == 2
    if verb in _ANYWHERE:
        assert f"--workspace does not go with {verb.split()[-1]}, " in done.stderr
    else:
        assert "There is no workspace named 'nosuch'" in done.stderr


def test_the_variable_has_no_effect_on_verbs_for_the_whole_store(with_store: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHLITE_WORKSPACE", "nosuch")
    assert with_store("status").exit_code == 0
    assert with_store("tasks").exit_code == 2


def test_connections_of_one_workspace_are_listed_on_request(with_store: Call) -> None:
    with_store("connections", "create", "mine", "sql", "-w", "first")
    with_store("connections", "create", "other", "sql")
    listed = [json.loads(with_store("connections", "--json", *words).stdout) for words in ((), ("-w", "first"))]
    assert [[one["name"] for one in found] for found in listed] == [["mine", "other"], ["mine"]]


class TestStart:
    def test_refuses_a_store_that_is_not_there(self, call: Call, store: Path) -> None:
        refused = call("start")
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "`start --create` make one" in refused.stderr
        assert not store.exists()

    def test_refuses_the_default_store_if_it_was_deleted(self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ORCHLITE_STORE")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        (tmp_path / "data" / "orchlite").mkdir(parents=True)
        assert call("start").exit_code == 2


class TestToken:
    def test_is_made_once_and_printed(self, with_store: Call, store: Path) -> None:
        pytest.importorskip("jwt")
        printed = with_store("token")
        assert (printed.exit_code, printed.stderr) == (0, "")
        told = json.loads(with_store("token", "--json").stdout)
        assert told == {"token": printed.stdout.strip(), "credentials": str(store / "credentials.json"), "url": None}
        assert (store / "credentials.json").stat().st_mode & 0o777 == 0o600
        assert json.loads((store / "credentials.json").read_text())["token"] == told["token"]

    def test_can_be_replaced_unless_the_store_is_served(self, with_store: Call, store: Path) -> None:
        pytest.importorskip("jwt")
        first = with_store("token").stdout
        new = with_store("token", "--new").stdout
        assert len({first, new, with_store("token").stdout}) == 2
        from orchlite.core.served_stores import Announcement, ServedStore

        server = Announcement(store, ServedStore("http://127.0.0.1:1", str(store / "credentials.json")))
        refused = with_store("token", "--new")
        server.close()
        assert (refused.exit_code, "served at http://127.0.0.1:1" in refused.stderr) == (1, True)
        assert with_store("token").stdout == new

    def test_needs_a_store(self, call: Call, store: Path) -> None:
        assert call("token").exit_code == 2
        assert not store.exists()
