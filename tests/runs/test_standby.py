"""Runs that stand by: prepared, ordered or dropped; and whatever happens meanwhile, started once or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

import orchlite
from orchlite.core.files import is_locked
from orchlite.core.folders import RunFolder
from orchlite.core.status import RunStatus
from orchlite.runs.observation import observe
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Alive, Ended, Lost, NeverStarted, RunSpec
from tests.interpreters import interpreters, make_environment
from tests.standbys import at_the_gate, processes_of, runner_of, until

# What the program was started with shows the gate, and nothing else does.
_PROGRAM = "import os; open('../../ran', 'a').write('ORCHLITE_GATE' in open('/proc/self/environ').read() and 'standby\\n' or 'cold\\n')\n"

_RUNNER = str(Path(orchlite.__file__).with_name("runs") / "runner" / "start.py")

Prepared = Callable[..., RunSpec]


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(interpreters()[0], tmp_path_factory.mktemp("standby") / "environment")


@pytest.fixture
def runners(tmp_path: Path) -> Iterator[Runners]:
    runners = Runners(tmp_path / "runners.log")
    yield runners
    runners.close()
    assert not (tmp_path / "runners.log").exists() or (tmp_path / "runners.log").read_text() == ""


@pytest.fixture
def make_spec(site_packages: Path, tmp_path: Path) -> Prepared:
    """Make a run whose program notes that it was started, and how."""

    def make(program: str = "", **changes: Any) -> RunSpec:
        folder = RunFolder(tmp_path / "runs" / str(uuid.uuid4()))
        attempt = folder.attempt(1)
        attempt.work.mkdir(parents=True)
        (attempt.work / "main.py").write_text(_PROGRAM + program)
        lock = tmp_path / "environment.lock"
        lock.touch()
        spec = RunSpec(
            run_id=folder.run_id,
            attempt=1,
            folder=str(folder.path),
            command=(str(site_packages.parents[2] / "bin" / "python"), "-u", "main.py"),
            working_folder=str(attempt.work),
            env={"PATH": os.environ["PATH"], "ORCHLITE_RUN_TOKEN": folder.run_id},
            log=str(attempt.log),
            timeout_seconds=None,
            grace_seconds=0.5,
            log_bytes=1_000_000,
            leash=False,
            environment_lock=str(lock),
        )
        return spec._replace(**changes)

    return make


def _folder(spec: RunSpec) -> RunFolder:
    return RunFolder(Path(spec.folder))


def _starts(spec: RunSpec) -> str:
    path = Path(spec.folder) / "ran"
    return path.read_text() if path.exists() else ""


def _ends(runners: Runners, spec: RunSpec) -> Ended:
    runners.place(spec)
    observed = runners.wait(_folder(spec))
    assert isinstance(observed, Ended), observed
    return observed


def test_a_prepared_run_is_the_program_that_was_started_in_advance(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    runners.prepare(spec)
    pid = at_the_gate(spec)
    assert isinstance(runners.observe(_folder(spec)), Alive)
    assert not _folder(spec).started.exists()
    assert _ends(runners, spec).result.exit_code == 3
    assert _starts(spec) == "standby\n"
    assert json.loads(_folder(spec).started.read_bytes())["session"] == pid
    assert processes_of(spec) == []


def test_its_times_begin_with_the_order(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec(timeout_seconds=5.0)
    runners.prepare(spec)
    at_the_gate(spec)
    before = time.time()
    result = _ends(runners, spec).result
    assert result.started_at is not None
    assert result.started_at.timestamp() >= before - 0.001
    assert result.status == RunStatus.SUCCESS


def test_a_run_that_is_ordered_while_it_is_being_prepared_is_run(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    runners.prepare(spec)
    assert _ends(runners, spec).result.status == RunStatus.SUCCESS
    assert _starts(spec) == "standby\n"


def test_a_dropped_run_leaves_no_process_and_no_lock_and_its_runner_is_used_again(runners: Runners, make_spec: Prepared) -> None:
    spec, other = make_spec(), make_spec()
    runners.prepare(spec)
    os.kill(at_the_gate(spec), signal.SIGSTOP)
    runners.drop(_folder(spec))
    runners.drop(_folder(spec))
    assert (processes_of(spec), _starts(spec), is_locked(_folder(spec).alive_lock)) == ([], "", False)
    assert isinstance(runners.observe(_folder(spec)), NeverStarted)
    _ends(runners, other)
    assert _starts(other) == "cold\n"


def test_closing_drops_what_stands_by(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    runners.prepare(spec)
    at_the_gate(spec)
    runners.close()
    assert (processes_of(spec), _starts(spec), is_locked(_folder(spec).alive_lock)) == ([], "", False)


def test_another_run_drops_what_stands_by_first(make_spec: Prepared) -> None:
    spec, other = make_spec(), make_spec()
    runner = Popen([sys.executable, "-I", "-S", "-u", _RUNNER], stdin=PIPE, stdout=PIPE, start_new_session=True)
    with runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(json.dumps({**spec._asdict(), "order": "prepare"}).encode() + b"\n")
        runner.stdin.flush()
        at_the_gate(spec)
        runner.stdin.write(json.dumps(other._asdict()).encode() + b"\n")
        runner.stdin.flush()
        assert json.loads(runner.stdout.readline())["run_id"] == other.run_id
        assert (processes_of(spec), is_locked(_folder(spec).alive_lock), _starts(spec)) == ([], False, "")


def _replace_folder(spec: RunSpec) -> None:
    shutil.move(spec.working_folder, f"{spec.working_folder}-old")
    shutil.copytree(f"{spec.working_folder}-old", spec.working_folder)


def _kill(spec: RunSpec) -> None:
    os.kill(at_the_gate(spec), signal.SIGKILL)


@pytest.mark.parametrize("spoil", [_replace_folder, _kill], ids=["another working folder", "killed"])
def test_what_does_not_fit_any_more_is_started_cold(runners: Runners, make_spec: Prepared, spoil: Callable[[RunSpec], None]) -> None:
    spec = make_spec("print('once')")
    runners.prepare(spec)
    at_the_gate(spec)
    spoil(spec)
    assert _ends(runners, spec).result.status == RunStatus.SUCCESS
    assert _starts(spec) == "cold\n"


def test_another_environment_at_the_order_is_a_cold_start(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec("import sys; sys.exit(int(os.environ['CODE']))")
    runners.prepare(spec)
    at_the_gate(spec)
    assert _ends(runners, spec._replace(env={**spec.env, "CODE": "4"})).result.exit_code == 4
    assert _starts(spec) == "cold\n"


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONVERBOSE": "1"}, {"PYTHONPROFILEIMPORTTIME": "1"}, {"PYTHONPATH": "/nowhere"}, {"PYTHONPATH": ".:tmp"}],
    ids=lambda each: "=".join(next(iter(each.items()))),
)
def test_with_variables_that_would_show_the_gate_nothing_is_prepared(
    runners: Runners, make_spec: Prepared, variables: dict[str, str]
) -> None:
    spec = make_spec()
    spec = spec._replace(env={**spec.env, **variables})
    runners.prepare(spec)
    assert _ends(runners, spec).result.status == RunStatus.SUCCESS
    assert _starts(spec) == "cold\n"


def test_a_search_path_that_begins_in_the_working_folder_is_no_hindrance(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    spec = spec._replace(env={**spec.env, "PYTHONPATH": "."})
    runners.prepare(spec)
    _ends(runners, spec)
    assert _starts(spec) == "standby\n"


@pytest.mark.parametrize(
    "line",
    [
        "import os; os.environ.clear()",
        "import os; 'ORCHLITE_GATE' in os.environ and os.close(63)",
        "import os, sys; os.environ.pop('ORCHLITE_GATE', None) and os.execv(sys.executable, sys.orig_argv)",
    ],
    ids=["clears the variables", "closes the descriptor", "executes the interpreter again, without the variable"],
)
def test_no_path_file_gets_the_program_to_start_before_the_order(
    runners: Runners, make_spec: Prepared, site_packages: Path, tmp_path: Path, line: str
) -> None:
    spec, seen = make_spec(), tmp_path / "seen"
    (site_packages / "a.pth").write_text(line.replace(";", f"; open({str(seen)!r}, 'a').close();", 1) + "\n")
    try:
        runners.prepare(spec)
        until(seen.exists)
        until(lambda: not processes_of(spec))
        assert _starts(spec) == ""
        (site_packages / "a.pth").unlink()
        assert _ends(runners, spec).result.status == RunStatus.SUCCESS
        assert _starts(spec) == "cold\n"
    finally:
        (site_packages / "a.pth").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "line",
    [
        "import os; 'ORCHLITE_GATE' in os.environ and os.fork()",
        "import os, subprocess; 'ORCHLITE_GATE' in os.environ and subprocess.Popen(['sleep', '60'], start_new_session=True)",
    ],
    ids=["forks", "starts a helper"],
)
def test_what_a_path_file_starts_makes_the_start_cold(runners: Runners, make_spec: Prepared, site_packages: Path, line: str) -> None:
    spec = make_spec()
    (site_packages / "a.pth").write_text(line + "\n")
    try:
        runners.prepare(spec)
        at_the_gate(spec)  # a copy of the process finds no program, and has ended soon
        assert _ends(runners, spec).result.status == RunStatus.SUCCESS
        assert (_starts(spec), processes_of(spec), Path(spec.log).read_text()) == ("cold\n", [], "")
    finally:
        (site_packages / "a.pth").unlink()


def test_a_helper_that_outlives_the_runner_of_a_prepared_run_does_not_make_it_started(
    runners: Runners, make_spec: Prepared, site_packages: Path
) -> None:
    spec = make_spec()
    (site_packages / "a.pth").write_text(
        "import os, subprocess; 'ORCHLITE_GATE' in os.environ and subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    )
    try:
        runners.prepare(spec)
        os.kill(runner_of(at_the_gate(spec)), signal.SIGKILL)
    finally:
        (site_packages / "a.pth").unlink()
    until(lambda: not is_locked(_folder(spec).alive_lock))
    assert len(processes_of(spec)) >= 1
    assert isinstance(observe(_folder(spec)), NeverStarted)
    assert _ends(runners, spec).result.status == RunStatus.SUCCESS
    assert (_starts(spec), processes_of(spec)) == ("cold\n", [])


def test_an_environment_of_an_earlier_version_has_no_gate_and_starts_nothing_before_the_order(
    runners: Runners, make_spec: Prepared, site_packages: Path
) -> None:
    spec = make_spec()
    gated, away = site_packages / "~orchlite.pth", site_packages / "away"
    gated.rename(away)
    try:
        runners.prepare(spec)
        assert _ends(runners, spec).result.status == RunStatus.SUCCESS
        assert _starts(spec) == "cold\n"
    finally:
        away.rename(gated)


def test_a_program_that_is_stopped_at_the_gate_ends_by_its_time_limit(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec(timeout_seconds=0.2, grace_seconds=0.1)
    runners.prepare(spec)
    os.kill(at_the_gate(spec), signal.SIGSTOP)
    assert _ends(runners, spec).result.status == RunStatus.TIMED_OUT
    assert _starts(spec) == ""


def test_a_program_that_dies_between_order_and_acknowledgement_is_started_cold(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    runners.prepare(spec)
    pid = at_the_gate(spec)
    os.kill(pid, signal.SIGSTOP)
    runners.place(spec)
    until(_folder(spec).started.exists)
    time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    observed = runners.wait(_folder(spec))
    assert isinstance(observed, Ended)
    assert observed.result.status == RunStatus.SUCCESS
    assert _starts(spec) == "cold\n"


def test_if_the_runner_dies_before_the_order_another_one_starts_the_run_cold(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    runners.prepare(spec)
    runner = runner_of(at_the_gate(spec))
    os.kill(runner, signal.SIGKILL)
    until(lambda: not is_locked(_folder(spec).alive_lock) and not processes_of(spec))
    assert _starts(spec) == ""
    assert _ends(runners, spec).result.status == RunStatus.SUCCESS
    assert _starts(spec) == "cold\n"


def test_a_run_whose_runner_died_while_its_program_was_stopped_at_the_gate_was_never_started(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec()
    runners.prepare(spec)
    pid = at_the_gate(spec)
    runner = runner_of(pid)
    os.kill(pid, signal.SIGSTOP)
    os.kill(runner, signal.SIGKILL)
    until(lambda: not is_locked(_folder(spec).alive_lock))
    assert isinstance(observe(_folder(spec)), NeverStarted)
    assert runners.discard(_folder(spec)) == ()
    until(lambda: not processes_of(spec))
    assert _starts(spec) == ""


def test_if_the_runner_dies_after_the_order_the_run_is_lost(runners: Runners, make_spec: Prepared) -> None:
    spec = make_spec("import time; time.sleep(60)")
    runners.prepare(spec)
    runner = runner_of(at_the_gate(spec))
    runners.place(spec)
    until(lambda: _starts(spec))
    os.kill(runner, signal.SIGKILL)
    assert isinstance(runners.wait(_folder(spec)), Lost)
    assert runners.discard(_folder(spec)) == ()
    assert _starts(spec) == "standby\n"


def test_a_prepared_run_can_be_cancelled_like_any_other(runners: Runners, make_spec: Prepared) -> None:
    before, during = make_spec(), make_spec("import time; time.sleep(60)")
    runners.prepare(before)
    at_the_gate(before)
    runners.cancel(_folder(before), "not wanted")
    assert _ends(runners, before).result.status == RunStatus.KILLED
    assert (_starts(before), processes_of(before)) == ("", [])
    runners.prepare(during)
    runners.place(during)
    until(lambda: _starts(during))
    runners.cancel(_folder(during), "not wanted")
    observed = runners.wait(_folder(during))
    assert isinstance(observed, Ended)
    assert observed.result.status == RunStatus.KILLED
