"""A run is `python main.py`: small programs run both ways, by the runner and directly, and the outcomes are compared byte for byte.

The programs are in `fidelity/*.txt`. `== NAME` begins one, `$ NAME=VALUE` sets a variable for it, `-- PATH` begins another file (the lines
before the first are those of `main.py`); a file that begins with `#!` is executable. Compared are standard output and standard error, each
by itself, the exit code, and the files that were made or changed (of bytecode the names only, as it holds the time of its source). The one
thing that is replaced is the path of the working folder. One program in six is run by default, the others are among the slow tests.

What must differ, and does, each in a test at the end of this file:

- the session: a run has its own, so no terminal is its own and no signal meant for the host's reaches it;
- the parent: it is the runner, which also adopts orphans;
- what is left running: it is ended when the run is;
- the working folder: a new one in the store, which other accounts cannot read;
- the variables: of the host's only those that are listed, and ours; the environment's programs come first in `PATH`, whoever sets it;
- the path of imports: our `wallaroo` before the installed packages, the host's packages at the end;
- how an end by a signal is reported: as exit code 128+n;
- the text of the log: bytes that are no UTF-8 are replaced;
- two signals that belong to the C library: its posix_spawn may leave them ignored, which only the kernel notices.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.client.task_run import TaskRun
from orchlite.runs.logs import Log

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs read /proc, which only Linux has")

_FOLDER = Path(__file__).with_name("fidelity")
_SAMPLE = 6
_SECONDS = 60.0
_INSTALL_SECONDS = 300.0
_PROXIES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}
_CERTIFICATES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PASSED_ON = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", *_CERTIFICATES, *_PROXIES, *map(str.upper, _PROXIES)}
_OURS = {
    *("WALLAROO_TASK_ID", "TASK_ID", "ORCH_ID", "ORCH_SHA", "ORCH_OWNER_ID", "TASK_DEBUG"),
    *(
        "ORCHLITE_STORE",
        "ORCHLITE_CACHE",
        "ORCHLITE_RUN_FOLDER",
        "ORCHLITE_RUN_TOKEN",
        "ORCHLITE_RUN_PLACE",
        "ORCHLITE_SDK",
        "ORCHLITE_HOST_PATHS",
        "ORCHLITE_HOST_LIBRARIES",
    ),
}


# --- programs


@dataclass
class _Program:
    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return next(path for path in self.files if path.split("/")[-1] == "main.py")

    def write(self, folder: Path) -> Path:
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"#!") else 0o644)
        return folder


def _read(name: str) -> list[_Program]:
    _, *sections = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").split("\n== ")
    return [_read_program(name, section.rstrip("\n").split("\n")) for section in sections]


def _read_program(room: str, lines: list[str]) -> _Program:
    program, path = _Program(f"{room}: {lines[0]}"), "main.py"
    for line in lines[1:]:
        if line.startswith("$ "):
            name, _, value = line[2:].partition("=")
            program.env[name] = value
        elif line.startswith("-- "):
            path = line[3:]
            program.files[path] = b""
        else:
            program.files[path] = program.files.get(path, b"") + line.encode() + b"\n"
    if not program.files:
        program.files["main.py"] = b""
    return program


def _main(source: str | bytes, **env: str) -> _Program:
    return _Program("", {"main.py": source if isinstance(source, bytes) else source.encode()}, env)


_ODD = {
    "a mark of the byte order": b"\xef\xbb\xbfprint(__file__)\n1 / 0\n",
    "line ends of Windows": b'print("""a\r\nb""".encode())\r\n1 / 0\r\n',
    "Latin-1": b'# coding: latin-1\nprint("gr\xf6\xdfe")\nraise ValueError("gr\xf6\xdfe")\n',
    "no newline at the end": b"1 / 0",
    "tabs and form feeds": b"\x0cif True:\n\tprint(1)\n\x0c\n\t1 / 0\n",
    "a line for the shell": b"#!/usr/bin/env python3\nimport os\nprint(os.access(__file__, os.X_OK))\n1 / 0\n",
    "a very long line": b"value = [" + b"1, " * 20_000 + b"]; print(len(value))\n1 / 0\n",
}
_ODD_PROGRAMS = [_Program(f"odd sources: {name}", {"main.py": source}) for name, source in _ODD.items()]
_ODD_VALUES = [
    _Program("odd variables: a value that is no UTF-8", {"main.py": b"import os; print(os.environb[b'VALUE'])"}, {"VALUE": "\udcff\udc80"}),
    _Program("odd variables: a value of several lines", {"main.py": b"import os; print(os.environb[b'VALUE'])"}, {"VALUE": "a\nb\n\t\x1b"}),
    _Program("odd variables: a name that no shell takes", {"main.py": b"import os; print(os.environb[b'a b-c'])"}, {"a b-c": "taken"}),
]
_ROOMS = ("ends", "tracebacks", "interpreter", "imports", "processes", "output", "files", "variables")


# --- both ways


@dataclass(frozen=True)
class _Outcome:
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes]
    """What was made or changed."""


@pytest.fixture(scope="module")
def host_environment() -> Iterator[None]:
    """A host with a known locale, with variables that no run may see, and with the signals that a terminal gives to a program."""
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("LC_", "PYTHON"))]:
            patch.delenv(name)
        patch.setenv("LANG", "C.UTF-8")
        patch.setenv("PYTHONOPTIMIZE", "2")
        patch.setenv("OF_THE_HOST", "not for runs")
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="module")
def client(host_environment: None, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[orchlite.Client]:
    """One store for all programs; it keeps whatever they leave."""
    client = orchlite.Client(tmp_path_factory.mktemp("fidelity") / "store", workers=2, grace_seconds=0.5, keep_work="all")
    yield client
    for task in client.list_tasks():
        task.kill()
    client.close(drain=False)


Ask = Callable[[dict[str, bytes]], str]
Both = Callable[[_Program], tuple[_Outcome, _Outcome]]


@pytest.fixture(scope="module")
def interpreter(client: orchlite.Client, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return the interpreter of the environment that a program with these further files runs in."""
    known: dict[bytes, str] = {}

    def ask(files: dict[str, bytes]) -> str:
        requirements = files.get("requirements.txt", b"")
        if requirements not in known:
            program = _main("import sys; print(sys.executable)")
            program.files["requirements.txt"] = requirements
            orchestration = client.upload_orchestration(path=program.write(tmp_path_factory.mktemp("asks")))
            run = orchestration.wait(_INSTALL_SECONDS).run_once().wait(_SECONDS).raise_for_failure()
            known[requirements] = str(run.logs()).strip()
        return known[requirements]

    return ask


@pytest.fixture
def both(client: orchlite.Client, interpreter: Ask, tmp_path: Path) -> Both:
    """Run a program by the runner and, at the same time, directly."""

    def run_both(program: _Program) -> tuple[_Outcome, _Outcome]:
        python = interpreter(program.files)
        [run] = client.upload_orchestration(path=program.write(tmp_path / "bundle")).run_once(env=program.env).last_runs()
        folder = program.write(tmp_path / "direct")
        done = _by_hand(python, program, folder)
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return _by_the_runner(client, run, program), _outcome(code, done.stdout, done.stderr, folder, program)

    return run_both


def _by_hand(python: str, program: _Program, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """What `python -u main.py < /dev/null` does in a shell; the session is its own, so that both may say that they lead it."""
    env = {name: value for name, value in os.environ.items() if name in _PASSED_ON} | program.env
    command = [python, "-u", program.main]
    with Path(os.devnull).open() as stdin:
        return subprocess.run(command, cwd=folder, env=env, stdin=stdin, capture_output=True, start_new_session=True, timeout=_SECONDS)


def _by_the_runner(client: orchlite.Client, run: TaskRun, program: _Program) -> _Outcome:
    log = run.wait(_SECONDS).logs()
    assert run.status() == ("failure" if run.exit_code() else "success")
    return _outcome(run.exit_code(), _text(log, "stdout"), _text(log, "stderr"), _work_folder(client, run), program)


def _text(log: Log, stream: str) -> bytes:
    return str(Log(line for line in log if line.stream == stream)).encode()


def _work_folder(client: orchlite.Client, run: TaskRun) -> Path:
    return client.path() / "runs" / run.id() / "1" / "work"


def _outcome(code: int | None, stdout: bytes, stderr: bytes, folder: Path, program: _Program) -> _Outcome:
    path = str(folder).encode()
    files = {name.replace(str(folder)[1:], "<work>"): content for name, content in _files(folder) if program.files.get(name) != content}
    return _Outcome(code, stdout.replace(path, b"<work>"), stderr.replace(path, b"<work>"), files)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), b"" if path.suffix == ".pyc" else path.read_bytes()


_PROGRAMS = [program for room in _ROOMS for program in _read(room)] + _ODD_PROGRAMS + _ODD_VALUES


@pytest.mark.parametrize(
    "program", [pytest.param(one, id=one.name, marks=[pytest.mark.slow] * bool(number % _SAMPLE)) for number, one in enumerate(_PROGRAMS)]
)
def test_a_run_does_what_python_does(program: _Program, both: Both) -> None:
    run, by_hand = both(program)
    assert run == by_hand


@pytest.mark.slow
@pytest.mark.parametrize("program", _read("joblib"), ids=lambda program: program.name)
def test_a_run_with_requirements_does_what_python_does(program: _Program, both: Both) -> None:
    program.files["requirements.txt"] = b"joblib==1.4.2\n"
    run, by_hand = both(program)
    assert run == by_hand
    assert b"No module named 'joblib'" not in by_hand.stderr


# --- what must differ


def _facts(source: str, both: Both) -> tuple[Any, Any]:
    """Return what a program prints as JSON, by the runner and directly."""
    run, by_hand = both(_main(f"import json, os, sys\n{source}"))
    return json.loads(run.stdout), json.loads(by_hand.stdout)


def test_a_session_is_the_runs_own(both: Both) -> None:
    (session, pid), _ = _facts("print(json.dumps([os.getsid(0), os.getpid()]))", both)
    assert session == pid != os.getsid(0)


_ADOPTION = """
read, write = os.pipe()
if not os.fork():
    parent = os.getpid()
    if not os.fork():
        while os.getppid() == parent:
            pass
        os.write(write, str(os.getppid()).encode())
    os._exit(0)
print(json.dumps([os.getppid(), int(os.read(read, 20))]))
"""


def test_the_parent_is_the_runner_and_adopts_orphans(both: Both) -> None:
    (parent, adopter), (parent_by_hand, _) = _facts(_ADOPTION, both)
    assert parent == adopter
    assert parent != parent_by_hand == os.getpid()


_LEFT_RUNNING = """
import subprocess
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(child.pid)
"""


def test_what_is_left_running_ends_with_the_run(both: Both) -> None:
    left, left_by_hand = _facts(_LEFT_RUNNING, both)
    os.kill(left_by_hand, signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)


def test_each_run_has_a_new_working_folder_that_others_cannot_read(client: orchlite.Client, tmp_path: Path) -> None:
    source = "import os\nprint(os.getcwd(), *(oct(os.stat(name).st_mode & 0o777) for name in ('.', 'main.py')))"
    runs = [client.run(_main(source).write(tmp_path)) for _ in range(2)]
    assert [str(run.logs()) for run in runs] == [f"{_work_folder(client, run)} 0o700 0o600\n" for run in runs]


def test_of_the_variables_only_listed_ones_are_the_hosts(both: Both) -> None:
    run, by_hand = _facts("print(json.dumps(dict(os.environ)))", both)
    assert {"OF_THE_HOST", "PYTHONOPTIMIZE"} <= set(os.environ) - set(run)
    assert set(run) - set(by_hand) == _OURS
    ours = {name: run[name] for name in _OURS}
    path = os.pathsep.join([str(Path(_facts("print(json.dumps(sys.executable))", both)[0]).parent), by_hand["PATH"]])
    assert run == by_hand | ours | {"PATH": path}


def test_a_path_that_is_given_has_the_environments_programs_in_front(both: Both) -> None:
    source = "import os, shutil, sys\nprint(os.environ['PATH'], shutil.which('python'), sys.executable, sep='\\n')"
    run, _ = both(_main(source, PATH="/nowhere:/nowhere/either"))
    path, python, executable = run.stdout.decode().splitlines()
    assert path == f"{Path(executable).parent}:/nowhere:/nowhere/either"
    assert python == executable


def test_the_path_gains_our_module_before_the_packages_and_the_hosts_packages_at_the_end(both: Both) -> None:
    run, by_hand = _facts("print(json.dumps(sys.path))", both)
    [ours, *host] = [folder for folder in run if folder not in by_hand]
    assert run == [*by_hand[:-1], ours, by_hand[-1], *host]
    assert (Path(ours) / "wallaroo" / "__init__.py").is_file()
    assert str(Path(pytest.__file__).parents[1]) in host
    assert set(host) <= set(sys.path)


def test_wallaroo_can_be_imported_in_a_run_only(both: Both) -> None:
    run, by_hand = both(_main("import wallaroo"))
    assert (run.exit_code, by_hand.exit_code) == (0, 1)
    assert b"ModuleNotFoundError: No module named 'wallaroo'" in by_hand.stderr


@pytest.mark.slow
def test_an_end_by_a_signal_is_told_as_128_and_its_number(both: Both, interpreter: Ask, tmp_path: Path) -> None:
    program = _main("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert both(program)[0].exit_code == 128 + signal.SIGTERM
    assert _by_hand(interpreter({}), program, program.write(tmp_path / "again")).returncode == -signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize(
    "written",
    [b"\xff\xfe\n", b"caf\xe9\n", b"cut off \xe2\x82", b"\xed\xa0\x80\n", b"\x80" * 20_000 + b"\n"],
    ids=["a mark of UTF-16", "Latin-1", "half a character", "half of a pair", "a long line"],
)
def test_bytes_that_are_no_utf_8_are_replaced(written: bytes, both: Both) -> None:
    run, by_hand = both(_main(f"import os; os.write(1, {written!r})"))
    assert by_hand.stdout == written
    assert run.stdout == written.decode(errors="replace").encode()


@pytest.mark.slow
def test_signals_but_for_the_c_librarys_own_are_not_ignored(both: Both) -> None:
    source = "print(json.dumps(next(line for line in open('/proc/self/status') if line.startswith('SigIgn'))))"
    run, by_hand = (int(line.split()[1], 16) for line in _facts(source, both))
    assert (run ^ by_hand) & ~(3 << 31) == 0
