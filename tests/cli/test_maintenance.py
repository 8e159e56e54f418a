"""The verbs `prune`, `backup`, `restore`, `doctor` and `completion`, and what all verbs have in common."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import click
import pytest
from click.testing import Result

from orchlite.cli.app import command_line
from orchlite.client import doctor
from orchlite.environments import uv

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


def _verbs(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    for verb, command in group.commands.items():
        yield f"{name} {verb}".strip(), command
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{name} {verb}".strip())


_VERBS = dict(_verbs(command_line))


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_has_the_common_options_and_a_description(call: Call, verb: str) -> None:
    options = {option for parameter in _VERBS[verb].params for option in parameter.opts}
    assert {"--store", "--workspace", "--json", "--quiet", "--debug"} <= options
    told = call(*verb.split(), "--help")
    assert told.exit_code == 0
    assert _VERBS[verb].help


def test_the_help_names_every_verb(call: Call) -> None:
    shown = call("--help").stdout
    assert [verb for verb in command_line.commands if f"\n  {verb} " not in shown] == []
    assert call().stdout == shown
    assert call().exit_code == 0


def test_common_options_are_accepted_before_and_after_a_verb(call: Call, tmp_path: Path) -> None:
    for words in (["--store", "elsewhere", "runs"], ["runs", "--store", "elsewhere"]):
        assert str(tmp_path / "elsewhere") in call(*words).stderr


def test_errors_are_json_with_json(call: Call) -> None:
    told = json.loads(call("runs", "--json").stderr)["error"]
    assert set(told) == {"kind", "message", "hint", "details"}
    assert told["kind"] == "NotFound"


def test_debug_prints_the_traceback(call: Call) -> None:
    assert "Traceback" not in call("runs").stderr
    assert "Traceback" in call("runs", "--debug").stderr


@pytest.mark.parametrize("words", [["nosuch"], ["run"], ["runs", "--nosuch"], ["runs", "-n", "x"]], ids=" ".join)
def test_an_invalid_command_line_is_refused_in_one_line(call: Call, words: list[str]) -> None:
    refused = call(*words)
    assert (refused.exit_code, refused.stderr.count("\n"), refused.stdout) == (2, 1, "")


@pytest.mark.parametrize(
    "words",
    [
        ["prune", "--older-than"],
        ["start", "--retain"],
        ["serve", "--install-timeout"],
        ["run", ".", "--timeout"],
        ["schedule", ".", "@daily", "--deadline"],
        ["status", "--failed-since"],
        ["logs", "--since"],
        ["events", "--since"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("number", ["30", "2026", "0.5"])
def test_a_bare_number_is_neither_a_duration_nor_a_time(call: Call, words: list[str], number: str) -> None:
    done = call(*words, number)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "1h30m, 30d" in done.stderr


@pytest.mark.usefixtures("only_store_of_the_cache")
def test_prune_removes_what_its_dry_run_reports(call: Call, folder: MakeFolder, store: Path) -> None:
    call("run", folder("print(1)"))
    with sqlite3.connect(store / "store.sqlite") as database:
        database.execute("UPDATE runs SET ended_at = 1")
        database.execute("UPDATE tasks SET updated_at = 1")
    database.close()
    would = json.loads(call("prune", "--older-than", "1d", "--dry-run", "--json").stdout)
    assert (would["runs"], would["dry_run"]) == (1, True)
    assert "removed 1 run" in call("prune", "--older-than", "1d").stdout
    assert json.loads(call("runs", "--json").stdout) == []


def test_a_restored_backup_is_a_store(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    call("run", folder("print('kept')"))
    assert call("backup", "copy").stdout == f"{tmp_path / 'copy'}\n"
    assert call("backup", "copy").exit_code == 1
    assert call("restore", "copy", "again").stdout == f"{tmp_path / 'again'}\n"
    assert call("logs", "--store", "again").stdout == "kept\n"


def _states(done: Result) -> dict[str, str]:
    return {check["name"]: check["state"] for check in json.loads(done.stdout)}


def test_doctor_finds_a_healthy_store_ok(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print(1)"))
    done = call("doctor", "--offline", "--json")
    assert done.exit_code == 0
    assert {"interpreter", "store", "environments", "installer", "clock", "leftovers", "disk"} <= set(_states(done))
    assert "bad" not in _states(done).values()
    assert "as far as a quick check sees" in call("doctor", "--offline", "--quick").stdout


def test_doctor_creates_no_store(call: Call, store: Path) -> None:
    assert call("doctor", "--offline").exit_code == 0
    assert not store.exists()


def test_doctor_finds_a_damaged_bundle_and_exits_with_1(call: Call, folder: MakeFolder, store: Path) -> None:
    call("upload", folder("print(1)"))
    [bundle] = (store / "bundles").iterdir()
    bundle.chmod(0o600)
    bundle.write_bytes(bundle.read_bytes()[:-1])
    done = call("doctor", "--offline", "--json")
    assert done.exit_code == 1
    assert _states(done)["store"] == "bad"


def test_doctor_names_the_verb_that_removes_what_it_finds(call: Call, folder: MakeFolder, store: Path) -> None:
    call("upload", folder("print(1)"))
    orphan = store / "runs" / str(UUID(int=1))
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    words = [check["words"] for check in json.loads(call("doctor", "--offline", "--json").stdout) if check["name"] == "leftovers"]
    assert [text for text in words if text.endswith("belongs to nothing. `orchlite prune` removes it.")]


@pytest.mark.slow
def test_doctor_finds_an_environment_that_a_program_has_changed(
    call: Call, folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHLITE_CACHE", str(tmp_path / "own-cache"))
    call("upload", folder("print(1)"))
    [build] = (path.parent for path in (tmp_path / "own-cache").glob("environments/*/*/pyvenv.cfg"))
    build.chmod(0o700)
    (build / "added").touch()
    done = call("doctor", "--offline", "--json")
    words = {check["words"] for check in json.loads(done.stdout) if check["state"] != "ok"}
    assert done.exit_code == 1
    assert len([text for text in words if str(build) in text]) == 2, "in this store, and in the whole cache"


def test_doctor_reports_a_file_that_is_not_a_database(call: Call, folder: MakeFolder, store: Path) -> None:
    store.mkdir(mode=0o700)
    (store / "store.sqlite").write_text("not a database, but text that is long enough to be taken for one" * 100)
    done = call("doctor", "--offline", "--json")
    assert done.exit_code == 1
    assert _states(done)["store"] == "bad"
    assert call("runs").exit_code == 3


def test_an_unreachable_index_is_a_warning_without_passwords(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hidden-word@127.0.0.1:9/simple")
    done = call("doctor", "--json")
    assert _states(done)["index"] == "warning"
    assert "hidden-word" not in done.output
    assert done.exit_code == 0


def test_doctor_asks_the_index_that_is_configured(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def words() -> tuple[str, str]:
        (found,) = [check for check in json.loads(call("doctor", "--json").stdout) if check["name"] == "index"]
        return found["state"], found["words"]

    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    assert words() == ("ok", f"{tmp_path.as_uri()} is a folder.")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "none").as_uri())
    assert words() == ("warning", f"{(tmp_path / 'none').as_uri()} is no folder.")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert words() == ("ok", "None is configured (no-index).")


@pytest.mark.skipif(uv.find() is None, reason="there is no uv")
def test_doctor_asks_the_index_that_the_variables_of_uv_name(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "of-pip").as_uri())
    monkeypatch.setenv("UV_INDEX", f"mine={tmp_path.as_uri()}")
    (found,) = [check for check in json.loads(call("doctor", "--json").stdout) if check["name"] == "index"]
    assert found["words"] == f"{tmp_path.as_uri()} is a folder."


def test_doctor_has_no_address_of_its_own() -> None:
    source = Path(doctor.__file__).read_text(encoding="utf-8")
    assert "://" not in source


def test_doctor_finds_a_folder_that_hides_an_editable_installation(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "site-packages" / "orchlite"
    (left / "store" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(left.parent)
    found = {
        check["state"]: check["words"]
        for check in json.loads(call("doctor", "--offline", "--json").stdout)
        if check["name"] == "installation"
    }
    assert str(left) in found["warning"]
    (left / "__init__.py").touch()
    assert _states(call("doctor", "--offline", "--json"))["installation"] == "ok"
