"""A run is `python main.py`: small programs run both ways, by the runner and from a shell, and compared byte for byte.

The programs lie in `fidelity/*.txt`: `== NAME` begins one, `$ NAME=VALUE` gives it a variable, `-- PATH` begins a further file (without one,
the lines are those of `main.py`). Compared are standard output and standard error, each by itself, the exit code, and the files that were
made or changed (of bytecode the names only: it holds the time of its source). The one thing replaced is the path of the working folder.

What must differ, and does, each in a test of its own at the end of this file:

- the session: a run has its own, so it has no terminal, and no signal meant for the host reaches it;
- the parent: it is the runner, which also adopts orphans;
- the working folder: a new one in the store;
- the variables: of the host's only those that are listed, `PATH` with the environment's programs first, and ours;
- the path of imports: our `wallaroo` before the installed packages, the host's packages at the end;
- how an end by a signal is told: exit code 128+n;
- the text of the log: bytes that are not UTF-8 are replaced;
- what is left running: it is ended when the run is.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import orchlite
from orchlite.logs import Log
from orchlite.orchestration import Orchestration
from orchlite.task_run import TaskRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs look at /proc, which only Linux has")

_PROGRAMS = Path(__file__).with_name("fidelity")
_SECONDS = 60.0
_PASSED_ON = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PROXIES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}
_OURS = {
    *("WALLAROO_TASK_ID", "TASK_ID", "ORCH_ID", "ORCH_SHA", "ORCH_OWNER_ID", "TASK_DEBUG"),
    *("ORCHLITE_STORE", "ORCHLITE_RUN_FOLDER", "ORCHLITE_RUN_TOKEN", "ORCHLITE_SDK", "ORCHLITE_HOST_PATHS"),
}


@dataclass
class _Program:
    name: str
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return next(path for path in self.files if path.split("/")[-1] == "main.py")

    def write(self, folder: Path) -> Path:
        for path, text in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return folder


@dataclass(frozen=True)
class _Outcome:
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes]


def _read_programs(name: str) -> list[_Program]:
    _, *sections = (_PROGRAMS / f"{name}.txt").read_text(encoding="utf-8").split("\n== ")
    return [_read_program(section) for section in sections]


def _read_program(section: str) -> _Program:
    name, *lines = section.rstrip("\n").split("\n")
    program, path = _Program(name), "main.py"
    for line in lines:
        if line.startswith("$ "):
            variable, _, value = line[2:].partition("=")
            program.env[variable] = value
        elif line.startswith("-- "):
            path = line[3:]
            program.files[path] = ""
        else:
            program.files[path] = program.files.get(path, "") + line + "\n"
    return program if program.files else _Program(name, program.env, {"main.py": ""})


def _programs(name: str) -> pytest.MarkDecorator:
    programs = _read_programs(name)
    return pytest.mark.parametrize("program", programs, ids=[program.name for program in programs])


# --- both ways


@pytest.fixture(scope="module")
def host_environment() -> Iterator[None]:
    """A host with a known locale, with variables that no run may see, and with the signals that a shell gives to a program."""
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("LC_", "PYTHON"))]:
            patch.delenv(name)
        patch.setenv("LANG", "C.UTF-8")
        patch.setenv("PYTHONWARNINGS", "ignore")
        patch.setenv("OF_THE_HOST", "not for runs")
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="module")
def client(host_environment: None, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[orchlite.Client]:
    """One store for all programs, with one environment, which keeps all that they leave."""
    with orchlite.Client(tmp_path_factory.mktemp("fidelity") / "store", workers=2, grace_seconds=1, keep_work="all") as client:
        yield client


@pytest.fixture(scope="module")
def python(client: orchlite.Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of the environment that a program without requirements runs in."""
    program = _Program("", files={"main.py": "import sys; print(sys.executable)"})
    return str(client.run(program.write(tmp_path_factory.mktemp("asks"))).logs()).strip()


@pytest.fixture
def both(client: orchlite.Client, python: str, tmp_path: Path) -> Callable[[_Program], tuple[_Outcome, _Outcome]]:
    """Run a program by the runner and, meanwhile, from a shell."""

    def run(program: _Program) -> tuple[_Outcome, _Outcome]:
        return _both(client, python, program, tmp_path)

    return run


def _both(client: orchlite.Client, python: str, program: _Program, folder: Path) -> tuple[_Outcome, _Outcome]:
    orchestration = client.upload_orchestration(path=program.write(folder / "bundle"))
    [run] = orchestration.run_once(env=program.env).last_runs()
    by_hand = _from_a_shell(python, program, program.write(folder / "by-hand"))
    return _by_the_runner(client, run, program), by_hand


def _from_a_shell(python: str, program: _Program, folder: Path) -> _Outcome:
    out, error = folder.with_name("stdout"), folder.with_name("stderr")
    with open(os.devnull) as stdin:
        done = subprocess.run(
            [python, "-u", program.main],
            cwd=folder,
            env=_of_a_shell() | program.env,
            stdin=stdin,
            capture_output=True,
            start_new_session=True,
            timeout=_SECONDS,
        )
    assert not out.exists() and not error.exists()
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return _outcome(code, done.stdout, done.stderr, folder, program)


def _of_a_shell() -> dict[str, str]:
    """The variables of this process that a run is given, too."""
    passed = _PASSED_ON | _PROXIES | {name.upper() for name in _PROXIES}
    return {name: value for name, value in os.environ.items() if name in passed}


def _by_the_runner(client: orchlite.Client, run: TaskRun, program: _Program) -> _Outcome:
    log = run.wait(_SECONDS).logs()
    assert run.status() == ("failure" if run.exit_code() else "success")
    return _outcome(run.exit_code(), _text(log, "stdout"), _text(log, "stderr"), _work_folder(client, run), program)


def _text(log: Log, stream: str) -> bytes:
    return str(Log(line for line in log if line.stream == stream)).encode()


def _work_folder(client: orchlite.Client, run: TaskRun) -> Path:
    return client.path() / "runs" / run.id() / "1" / "work"


def _outcome(code: int | None, stdout: bytes, stderr: bytes, folder: Path, program: _Program) -> _Outcome:
    place = str(folder).encode()
    return _Outcome(code, stdout.replace(place, b"<work>"), stderr.replace(place, b"<work>"), _files(folder, program))


def _files(folder: Path, program: _Program) -> dict[str, bytes]:
    """What was made or changed."""
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    brought = {name: text.encode() for name, text in program.files.items()}
    found = {name: b"" if path.suffix == ".pyc" else path.read_bytes() for name, path in paths.items()}
    return {name: content for name, content in found.items() if brought.get(name) != content}

Both = Callable[[_Program], tuple[_Outcome, _Outcome]]


@_programs("ends")
def test_it_ends_as_python_does(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("tracebacks")
def test_it_says_what_python_says(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("interpreter")
def test_it_sees_what_python_sees(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("imports")
def test_it_finds_what_python_finds(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("processes")
def test_it_starts_what_python_starts(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("output")
def test_it_writes_what_python_writes(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("files")
def test_it_leaves_what_python_leaves(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@_programs("variables")
def test_it_is_given_what_python_is_given(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand
