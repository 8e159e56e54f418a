"""Mistakes of new users: each message says how to continue."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


def _suggested(done: Result) -> list[list[str]]:
    """Return the commands that standard error suggests, each as words without the program."""
    return [shlex.split(command)[1:] for command in re.findall(r"`(orchlite [^`]+)`", done.stderr)]


class TestSeveralPrograms:
    @pytest.fixture
    def mine(self, folder: MakeFolder) -> Path:
        return folder({"a/main.py": "print('a')", "b/main.py": "print('b')"})

    def test_are_a_warning_of_check(self, call: Call, mine: Path) -> None:
        told = json.loads(call("check", mine, "--json").stdout)
        assert [warning for warning in told["warnings"] if told["entrypoint"] in warning and "'b/main.py'" in warning]

    def test_are_a_warning_of_run_that_names_the_entry_point(self, call: Call, mine: Path) -> None:
        done = call("run", mine)
        assert done.stdout == "a\n"
        assert "warning: 2 files are named main.py: a run starts 'a/main.py', not 'b/main.py'." in done.stderr


class TestAMissingConnection:
    def test_is_named_with_a_hint_at_the_end_of_the_log(self, call: Call, folder: MakeFolder) -> None:
        program = folder("import wallaroo\nwallaroo.Client().get_connection('ware house').details()\n")
        call("run", program)
        last = call("logs", "-n", "1").stdout
        assert "There is no connection named 'ware house'" in last
        assert "create_connection('ware house', type, details)" in last
        command = shlex.split(last.partition("`")[2].partition("`")[0])
        assert command[:4] == ["orchlite", "connections", "create", "ware house"]

    def test_keeps_the_message_that_programs_compare(self, call: Call, folder: MakeFolder) -> None:
        program = "import wallaroo\ntry:\n    wallaroo.Client().get_connection('x')\nexcept Exception as error:\n    print(error)\n"
        assert call("run", folder(program)).stdout == "Failed to get connection\n"

    def test_is_created_by_the_suggested_command(self, client: orchlite.Client, call: Call) -> None:
        with pytest.raises(orchlite.NotFound) as refused:
            client.get_connection("warehouse")
        command = str(refused.value.hint).partition("`")[2].partition("`")[0].replace("TYPE", "postgres").replace("KEY=VALUE", "host=db")
        assert call(*shlex.split(command)[1:]).exit_code == 0
        assert client.get_connection("warehouse").details() == {"host": "db"}


class TestASuggestedCommand:
    def test_updates_or_deletes_the_existing_connection(self, call: Call) -> None:
        create = ["connections", "create", "ware house", "postgres"]
        call(*create)
        update, remove = _suggested(call(*create))
        assert call(*update).exit_code == 0
        assert call(*remove).exit_code == 0
        assert call(*create).exit_code == 0

    def test_quotes_names_with_spaces(self, call: Call) -> None:
        [command] = _suggested(call("init", "my proj's"))
        assert call(*command).stdout == "Hello, Ada!\n"

    def test_names_the_store_and_the_workspace_of_the_call(self, call: Call, folder: MakeFolder, tmp_path: Path) -> None:
        chosen = ["--store", str(tmp_path / "my store"), "--workspace", "other"]
        mine = folder("print('found')")
        refused = call("run", mine, *chosen)
        [create] = [command for command in _suggested(refused) if "create" in command]
        assert call(*create).exit_code == 0
        logs, kill = _suggested(call("run", mine, "--detach", *chosen))
        assert call(*logs).stdout == "found\n"
        assert call(*kill).exit_code in (0, 1)  # by then its run may have ended

    def test_starts_a_host_of_that_store(self, call: Call, folder: MakeFolder, tmp_path: Path) -> None:
        told = call("schedule", folder("print(1)"), "@daily", "--store", tmp_path / "my store")
        assert _suggested(told) == [["start", "--store", str(tmp_path / "my store")]]


class TestPaths:
    @pytest.mark.parametrize(
        ("given", "shown"),
        [("mine", "mine"), ("./a/../mine", "mine"), ("../{here}/mine", "mine"), ("sub/mine", "sub/mine")],
        ids=["a name", "with dots", "by the folder above", "deeper"],
    )
    def test_init_prints_a_relative_path_below_the_working_folder(self, call: Call, tmp_path: Path, given: str, shown: str) -> None:
        done = call("init", given.format(here=tmp_path.name))
        assert done.stdout.startswith(f"created {shown}: ")
        assert (tmp_path / shown / "main.py").is_file()

    def test_init_prints_an_absolute_path_elsewhere(self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert call("init", "../mine").stdout.startswith(f"created {tmp_path / 'mine'}: ")

    def test_the_path_of_a_store_has_no_dots(self, call: Call, tmp_path: Path) -> None:
        assert f"'{tmp_path / 'elsewhere'}'" in call("runs", "--store", "a/../elsewhere").stderr

    def test_the_folder_above_has_a_name(self, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "above" / "below").mkdir(parents=True)
        (tmp_path / "above" / "main.py").write_text("print('from above')")
        monkeypatch.chdir(tmp_path / "above" / "below")
        assert call("run", "..").stdout == "from above\n"
        assert json.loads(call("orchestrations", "--json").stdout)[0]["name"] == "above"


class TestShowOfARun:
    @pytest.fixture
    def run_id(self, call: Call, folder: MakeFolder) -> str:
        done = call("run", folder("open('made.txt', 'w').close()"), "--name", "mine", "--arg", "n:=1", "--timeout", "90s", "--json")
        run_id: str = json.loads(done.stdout)["id"]
        return run_id

    def test_has_all_fields_in_json(self, call: Call, run_id: str, store: Path) -> None:
        shape = json.loads(call("show", run_id, "--json").stdout)
        assert (shape["task_name"], shape["orchestration_name"]) == ("mine", "bundle-0")
        assert (shape["arguments"], shape["timeout_seconds"]) == ({"n": 1}, 90)
        assert Path(shape["log"]) == store / "runs" / run_id / "1" / "log"
        assert Path(shape["log"]).is_file()
        assert isinstance(shape["duration_seconds"], float)

    def test_has_readable_values_as_text(self, call: Call, run_id: str) -> None:
        facts = dict(re.findall(r"^(\w+(?: \w+)*)  +(.+)$", call("show", run_id).stdout, re.MULTILINE))
        assert (facts["arguments"], facts["timeout"]) == ('{"n": 1}', "1 min 30 s")
        assert facts["task"].startswith("mine, ")
        assert re.fullmatch(r"\d+\.\d\d s", facts["duration"])
        assert re.fullmatch(r"[\d-]{10} [\d:]{8} \S+", facts["ended at"])
        assert facts["files"].endswith("made.txt")

    def test_of_its_task_names_the_newest_run(self, call: Call, run_id: str) -> None:
        task = json.loads(call("show", "mine", "--json").stdout)
        assert (task["last_run"]["id"], task["orchestration_name"]) == (run_id, "bundle-0")
        assert f"{run_id[:8]}, success, " in call("show", "mine").stdout


@pytest.mark.slow
def test_a_missing_version_is_explained_however_many_there_are(call: Call, folder: MakeFolder, store: Path, tmp_path: Path) -> None:
    (tmp_path / "index" / "many-pkg").mkdir(parents=True)
    links = [f'<a href="many_pkg-1.{number}-py3-none-any.whl">{number}</a>' for number in range(300)]
    (tmp_path / "index" / "many-pkg" / "index.html").write_text("\n".join(links))
    mine = folder({"main.py": "print('never')", "requirements.txt": "many-pkg==9\n"})
    with orchlite.Client(store, installer="pip", index_urls=[(tmp_path / "index").as_uri()]) as wl, pytest.raises(orchlite.PackagingFailed):
        wl.upload_orchestration(path=mine, name="many").wait()
    reason = json.loads(call("show", "many", "--json").stdout)["reason"]
    assert "There is no many-pkg==9" in reason
    assert "1.299 (the newest)" in reason


def test_the_log_of_a_host_names_runs_and_warns_of_failures(folder: MakeFolder, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="orchlite"), orchlite.Client(store) as wl:
        bad = wl.run(folder("raise SystemExit(3)"), name="nightly").id()
        good = wl.run(folder("print(1)")).id()
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "orchlite.operations.execution"]
    assert told == [
        ("INFO", f"run {bad} of 'nightly' starts"),
        ("WARNING", f"run {bad} of 'nightly': failure, exit code 3"),
        ("INFO", f"run {good} of 'bundle-1' starts"),
        ("INFO", f"run {good} of 'bundle-1': success, exit code 0"),
    ]


def test_an_adopted_run_is_not_a_warning(call: Call, slow: Path, store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_id = call("run", slow, "--detach").stdout.strip()
    with caplog.at_level(logging.INFO, logger="orchlite"), orchlite.Client(store) as wl:
        wl.start()
        (tmp_path / "gate").touch()
        assert wl.get_task_run_by_id(run_id).wait(timeout=30).status() == "success"
    told = [record for record in caplog.records if run_id in record.getMessage()]
    assert f"run {run_id} was adopted; its outcome will be recorded here" in [record.getMessage() for record in told]
    assert {record.levelname for record in told} == {"INFO"}
