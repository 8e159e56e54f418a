"""The verbs `schedule`, `upcoming`, `kill`, `pause`, `resume` and `connections`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


@pytest.fixture
def nightly(call: Call, folder: MakeFolder) -> str:
    """Schedule a task with this name, and return its id."""
    words = ["--name", "nightly", "--timezone", "Europe/Berlin", "--concurrency", "forbid", "--arg", "n:=1"]
    return call("schedule", folder("print(1)"), "30 2 * * *", *words).stdout.strip()


def _task(call: Call, task_id: str) -> dict[str, object]:
    shown: dict[str, object] = json.loads(call("show", task_id, "--json").stdout)
    return shown


def test_schedule_creates_a_task_with_its_schedule_and_arguments(call: Call, nightly: str) -> None:
    task = _task(call, nightly)
    assert (task["kind"], task["status"], task["name"]) == ("scheduled", "started", "nightly")
    assert (task["schedule"], task["timezone"], task["arguments"]) == ("30 2 * * *", "Europe/Berlin", {"n": 1})
    assert task["next_run_at"]


def test_schedule_suggests_start_unless_a_host_keeps_the_schedules(call: Call, folder: MakeFolder, store: Path) -> None:
    assert "orchlite start" in call("schedule", folder("print(1)"), "@daily").stderr
    with orchlite.Client(store) as client:
        assert "orchlite start" in call("schedule", folder("print(2)"), "@daily").stderr
        client.start()
        assert "orchlite start" not in call("schedule", folder("print(3)"), "@daily").stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["61 * * * *"], "minute"),
        (["0 0 30 2 *"], "never"),
        (["@daily", "--timezone", "Mars/Base"], "Mars/Base"),
        ([], "EXPRESSION or --continuously"),
        (["@daily", "--continuously"], "EXPRESSION or --continuously"),
        (["--continuously", "--timeout", "5s"], "--timeout"),
    ],
    ids=["a field", "never fires", "the zone", "neither", "both", "a time limit"],
)
def test_an_invalid_schedule_is_refused_before_anything_is_stored(
    call: Call, folder: MakeFolder, store: Path, words: list[str], complaint: str
) -> None:
    refused = call("schedule", folder("print(1)"), *words)
    assert refused.exit_code == 2
    assert complaint in refused.stderr
    assert not store.exists()


def test_pause_and_resume_by_name(call: Call, nightly: str) -> None:
    assert call("pause", "nightly").stdout == f"{nightly[:8]} paused\n"
    assert _task(call, nightly)["next_run_at"] is None
    assert call("resume", "nightly").stdout == f"{nightly[:8]} started\n"


@pytest.mark.parametrize("verb", ["pause", "resume", "trigger"])
def test_a_killed_task_can_only_be_scheduled_again(call: Call, nightly: str, verb: str) -> None:
    call("kill", "nightly")
    refused = call(verb, "nightly")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is killed for good" in refused.stderr
    assert "`orchlite schedule`" in refused.stderr


def test_kill_is_final_and_idempotent(call: Call, nightly: str) -> None:
    assert call("kill", nightly[:8]).stdout == f"{nightly[:8]} killed\n"
    assert call("kill", nightly[:8]).exit_code == 0
    assert json.loads(call("tasks", "--json").stdout) == []


def test_kill_ends_a_detached_run(call: Call, slow: Path) -> None:
    run_id = call("run", slow, "--detach").stdout.strip()
    assert json.loads(call("kill", run_id[:8], "--json").stdout)[0]["status"] == "killed"
    refused = call("kill", run_id[:8])
    assert refused.exit_code == 1
    assert "has ended already" in refused.stderr


def test_nothing_is_killed_if_one_word_finds_nothing(call: Call, nightly: str) -> None:
    assert call("kill", "nightly", "nosuch").exit_code == 2
    assert _task(call, nightly)["status"] == "started"


def test_a_name_is_of_the_task_that_is_not_killed(call: Call, folder: MakeFolder, nightly: str) -> None:
    call("kill", "nightly")
    second = call("schedule", folder("print(2)"), "@hourly", "--name", "nightly").stdout.strip()
    assert json.loads(call("pause", "nightly", "--json").stdout)[0]["id"] == second


def test_upcoming_prints_slots_in_the_given_zone(call: Call) -> None:
    lines = call("upcoming", "30 2 * * 1", "-n", "2", "--timezone", "Asia/Tokyo").stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("Mon ") and line.endswith("02:30 JST") for line in lines)
    slots = json.loads(call("upcoming", "30 2 * * 1", "-n", "2", "--timezone", "Asia/Tokyo", "--json").stdout)
    assert all(slot["at"].endswith("Z") and slot["local"].endswith("+09:00") for slot in slots)


def test_upcoming_warns_and_refuses_as_schedule_does(call: Call) -> None:
    assert "warning" in call("upcoming", "0 0 1-31/2 * 1").stderr
    refused = call("upcoming", "* * * *")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_a_connection_is_created_from_a_file_read_by_a_program_and_deleted(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "details.json").write_text('{"host": "db"}')
    made = call("connections", "create", "warehouse", "postgres", "--details-file", "details.json", "--detail", "port:=5432")
    assert made.stdout == "warehouse\n"
    program = "import wallaroo\nprint(sorted(wallaroo.Client().get_connection('warehouse').details().items()))\n"
    assert call("run", folder(program)).stdout == "[('host', 'db'), ('port', 5432)]\n"
    assert "default" in call("connections").stdout
    assert call("connections", "create", "warehouse", "postgres").exit_code == 1
    assert call("connections", "delete", "warehouse").exit_code == 0
    assert json.loads(call("connections", "--json").stdout) == []


def test_trigger_runs_a_scheduled_task_now_and_exits_with_its_code(call: Call, folder: MakeFolder) -> None:
    call("schedule", folder("print('night work')\nraise SystemExit(3)"), "@daily", "--name", "nightly")
    ran = call("trigger", "nightly")
    assert (ran.stdout, ran.exit_code) == ("night work\n", 3)
    [run] = json.loads(call("runs", "nightly", "--json").stdout)
    assert (run["status"], run["scheduled_at"]) == ("failure", None)


def test_trigger_leaves_a_detached_run_to_itself(call: Call, nightly: str) -> None:
    run_id = call("trigger", "nightly", "--detach").stdout.strip()
    assert json.loads(call("show", run_id, "--json").stdout)["task_id"] == nightly


def test_trigger_names_the_verb_for_what_is_no_task(call: Call, folder: MakeFolder) -> None:
    call("run", folder("print(1)"), "--name", "sums")
    [run] = json.loads(call("runs", "--json").stdout)
    by_run, by_upload = call("trigger", run["id"]), call("trigger", run["orchestration_id"])
    assert (by_run.exit_code, f"`orchlite rerun {run['id']}`" in by_run.stderr) == (2, True)
    assert (by_upload.exit_code, f"`orchlite run {run['orchestration_id']}`" in by_upload.stderr) == (2, True)


def test_rerun_repeats_a_run_by_its_id_or_the_newest_of_a_name(call: Call, folder: MakeFolder) -> None:
    program = "import orchlite\nprint(orchlite.task_args())"
    call("run", folder(program), "--name", "sums", "--arg", "n:=1")
    again = call("rerun", "sums")
    assert (again.stdout, again.exit_code) == ("{'n': 1}\n", 0)
    assert call("rerun", "sums", "--arg", "m=x", "--arg", "n:=2").stdout == "{'n': 2, 'm': 'x'}\n"
    _, newest, oldest = json.loads(call("runs", "sums", "--json").stdout)
    assert call("rerun", oldest["id"][:8], "--detach").exit_code == 0
    assert json.loads(call("show", newest["id"], "--json").stdout)["arguments"] == {"n": 1}


def test_schedule_takes_retries_and_limits_and_a_replacement_keeps_or_changes_them(call: Call, folder: MakeFolder) -> None:
    bundle = folder("print(1)")
    limits = ("--memory", "1536MiB", "--cpu-seconds", 600, "--nice", 10)
    task_id = call("schedule", bundle, "@daily", "--name", "nightly", "--retries", 2, "--retry-delay", "5m", *limits).stdout.strip()
    assert (_task(call, task_id)["retries"], _task(call, task_id)["retry_delay_seconds"]) == (2, 300)
    assert "2, 5 min 00 s after a failure" in call("show", task_id).stdout
    assert re.search(r"^memory +1.5 GiB a process\nprocessor time +600 s a process\nnice +10$", call("show", task_id).stdout, re.MULTILINE)
    call("schedule", bundle, "--name", "nightly", "--replace", "--arg", "n:=1")
    assert _task(call, task_id)["retries"] == 2
    call("schedule", bundle, "--name", "nightly", "--replace", "--retries", 0, "--memory", "2GiB", "--nice", 0)
    task = _task(call, task_id)
    assert (task["retries"], task["memory_bytes"], task["cpu_seconds"], task["nice"]) == (0, 2**31, 600, 0)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["@daily", "--retry-delay", "5m"], "--retry-delay"),
        (["--continuously", "--retries", "2"], "--retries"),
        (["@daily", "--memory", "4G"], "--memory"),
        (["--continuously", "--cpu-seconds", "0"], "--cpu-seconds"),
        (["@daily", "--replace", "--nice", "20"], "--nice"),
    ],
    ids=str,
)
def test_retries_and_limits_that_cannot_be_are_refused_before_anything_is_stored(
    call: Call, folder: MakeFolder, store: Path, words: list[str], option: str
) -> None:
    refused = call("schedule", folder("print(1)"), *words)
    assert (refused.exit_code, option in refused.stderr, store.exists()) == (2, True, False)


def test_show_names_the_runs_that_a_try_belongs_to(call: Call, folder: MakeFolder) -> None:
    call("run", folder("raise SystemExit(1)"), "--name", "sums", "--retries", 1, "--retry-delay", "0s")
    second, first = json.loads(call("runs", "sums", "--json").stdout)
    assert (second["try_number"], second["retry_of"]) == (2, first["id"])
    assert re.search(rf"^try +2, after {first['id']}$", call("show", second["id"]).stdout, re.MULTILINE)
    assert re.search(rf"^tried again by +{second['id']}$", call("show", first["id"]).stdout, re.MULTILINE)


def test_lists_say_of_a_run_without_a_slot_what_it_is(call: Call, folder: MakeFolder) -> None:
    call("run", folder("raise SystemExit(1)"), "--name", "sums", "--retries", 1, "--retry-delay", "0s")
    second, first = json.loads(call("runs", "sums", "--json").stdout)
    call("rerun", first["id"], "--detach")
    shown = call("runs", "sums").stdout
    assert "  try 2\n" in shown
    assert f"  rerun of {first['id'][:8]}\n" in shown
    assert {run["id"] for run in json.loads(call("status", "--json").stdout)["failed"]} >= {second["id"]}
    assert first["id"] not in {run["id"] for run in json.loads(call("status", "--json").stdout)["failed"]}
