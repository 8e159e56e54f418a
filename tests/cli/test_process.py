"""The command as a process: signals, pipes, missing packages, and verbs that keep running."""

from __future__ import annotations

import ast
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]

_PATIENCE_SECONDS = 30.0


def _command(*words: str) -> str:
    return " ".join([sys.executable, "-m", "orchlite", *words])


def _shell(line: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, check=False, timeout=120)


def _until_it_says(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}")


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], _PATIENCE_SECONDS)[0], "it printed nothing that could be read"
    return process.stdout.readline().strip()


def _expect_401(url: str) -> None:
    """Check that the server responds, and requires a token."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/v1/api/workspaces/list", data=b"{}", timeout=_PATIENCE_SECONDS)
    refused.value.close()
    assert refused.value.code == 401


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_a_signal_kills_the_run_and_its_last_output_is_printed(
    start: Start, call: Call, folder: MakeFolder, number: signal.Signals, code: int
) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('cleaned up', flush=True), sys.exit(5)))\n"
        "print('begun', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = start("run", folder(program))
    _until_it_says(process, "begun")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == code
    assert stdout == "cleaned up\n"
    assert "killing run" in stderr
    assert "Traceback" not in stderr
    assert [run["status"] for run in json.loads(call("runs", "--json").stdout)] == ["killed"]


@pytest.mark.slow
def test_a_second_signal_ends_the_wait_for_the_run(start: Start, call: Call, folder: MakeFolder) -> None:
    program = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(60)\n"
    process = start("run", folder(program))
    _until_it_says(process, "begun")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("killing run" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "ended as" not in stderr


@pytest.mark.slow
def test_a_signal_to_followed_logs_does_not_end_the_run(start: Start, call: Call, slow: Path, tmp_path: Path) -> None:
    run_id = call("run", slow, "--detach").stdout.strip()
    process = start("logs", "-f", run_id)
    _until_it_says(process, "begun")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert (process.returncode, stderr.strip()) == (130, "")
    (tmp_path / "gate").touch()
    assert call("logs", "-f", run_id).stdout == "begun\ndone\n"


@pytest.mark.slow
def test_logs_ends_quietly_if_its_reader_is_gone(call: Call, folder: MakeFolder) -> None:
    call("run", folder("for number in range(50_000):\n    print('line', number)\n"))
    done = _shell(f"{_command('logs')} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("line 0\n141\n", "")


@pytest.mark.slow
def test_run_continues_if_its_reader_is_gone(call: Call, folder: MakeFolder) -> None:
    mine = folder("for number in range(50_000):\n    print('line', number)\nraise SystemExit(3)\n")
    done = _shell(f"{_command('run', '-q', str(mine))} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == ("line 0\n3\n", "")
    assert json.loads(call("runs", "--json").stdout)[0]["status"] == "failure"


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(name: str) -> None:
    done = _shell(f"{sys.executable} -c \"import sys; sys.modules['{name}'] = None; from orchlite.cli import main; main(['runs'])\"")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert 'pip install "orchlite[cli]"' in done.stderr


def test_a_folder_that_hides_the_package_is_named(tmp_path: Path) -> None:
    left = tmp_path / "site-packages" / "orchlite"
    left.mkdir(parents=True)
    # As the finder of an editable installation has it: it is asked for what the folder does not have.
    path = [str(left), str(Path(orchlite.__file__).parent)]
    line = f"import sys, types; sys.modules['orchlite'] = hidden = types.ModuleType('orchlite'); hidden.__path__ = {path!r}"
    done = _shell(f"{sys.executable} -c \"{line}; from orchlite.cli import main; main(['runs'])\"")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"'{left}'" in done.stderr


def test_without_the_server_extra_serve_says_what_to_install() -> None:
    done = _shell(f"{sys.executable} -c \"import sys; sys.modules['uvicorn'] = None; from orchlite.cli import main; main(['serve'])\"")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "orchlite[server]"' in done.stderr


def test_the_library_does_not_import_the_command_line() -> None:
    line = "import sys, orchlite, orchlite.client.client; print({'click', 'rich', 'orchlite.cli'} & set(sys.modules))"
    assert _shell(f'{sys.executable} -c "{line}"').stdout == "set()\n"


def test_help_imports_neither_rich_nor_the_store() -> None:
    line = "import sys, atexit; atexit.register(lambda: print({'rich', 'sqlite3', 'fastapi'} & set(sys.modules)));"
    assert _shell(f"{sys.executable} -c \"{line} from orchlite.cli import main; main(['--help'])\"").stdout.endswith("set()\n")


@pytest.mark.slow
def test_text_that_the_encoding_lacks_is_escaped(call: Call, folder: MakeFolder) -> None:
    mine = folder("print('\\u2713 done')")
    done = _shell(f"PYTHONIOENCODING=ascii {_command('run', '-q', str(mine))}")
    assert (done.stdout, done.returncode) == ("\\u2713 done\n", 0)


def test_start_runs_what_is_due_until_sigterm(start: Start, call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    call("schedule", folder(f"import pathlib\npathlib.Path({str(tmp_path / 'sign')!r}).touch()\n"), "--continuously", "--name", "poller")
    process = start("start", "--workers", "1")
    assert process.stderr is not None
    assert any("keeping the schedules of" in line for line in process.stderr)
    (tmp_path / "sign").unlink(missing_ok=True)  # `schedule` may have begun a run, too, before it ended
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not (tmp_path / "sign").exists():
        assert time.monotonic() < give_up_at, "it was never run"
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert re.search(r"^[\d-]{10} [\d:]{8} \S+ run [0-9a-f]{8} of 'poller' starts$", stderr, re.MULTILINE)


@pytest.mark.slow
def test_start_runs_a_heartbeat_and_notifies_of_runs_without_a_command(
    start: Start, call: Call, folder: MakeFolder, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    call("schedule", folder("print(1)"), "--continuously", "--name", "poller")
    process = start("start", "--heartbeat", f"echo beat >> {told}", "--on-success", f'echo "$ORCHLITE_TASK_NAME" >> {told}')
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while not (told.exists() and {"beat", "poller"} <= set(told.read_text().split())):
        assert time.monotonic() < give_up_at, "a command was not run"
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, stderr


@pytest.mark.slow
def test_start_ends_with_one_line_once_its_store_is_gone(start: Start, call: Call, folder: MakeFolder, store: Path) -> None:
    call("run", folder("print(1)"))
    process = start("start", "--workers", "1")
    assert process.stderr is not None
    assert any("keeping the schedules of" in line for line in process.stderr)
    store.rename(store.with_name("moved"))  # all of its files at once
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 3
    assert re.fullmatch(r"orchlite: The store \S+ is gone\. Restore it from a backup.*\n", stderr)


@pytest.mark.slow
def test_serve_responds_until_sigterm(start: Start, store: Path) -> None:
    pytest.importorskip("uvicorn")
    process = start("serve", "--port", "0", "--json")
    told = json.loads(_first_line(process))
    assert told["environment"]["WALLAROO_URL"] == told["url"]
    _expect_401(told["url"])
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, stderr


@pytest.mark.slow
def test_serve_leaves_what_it_has_loaded_out_of_collections_of_garbage(store: Path) -> None:
    frozen = "atexit.register(lambda: print('frozen:', gc.get_freeze_count() > 10_000, file=sys.stderr))"
    program = f"import atexit, gc, sys; {frozen}; from orchlite.cli import main; main(['serve', '--port', '0'])"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert _first_line(process).startswith("http://")
        process.send_signal(signal.SIGTERM)
        assert "frozen: True" in process.communicate(timeout=_PATIENCE_SECONDS)[1]


@pytest.mark.slow
def test_the_address_of_a_server_can_be_read_from_a_pipe_while_it_serves(start: Start) -> None:
    pytest.importorskip("uvicorn")
    process = start("serve", "--port", "0")
    url = _first_line(process)
    _expect_401(url)
    assert process.poll() is None


@pytest.mark.slow
def test_serve_continues_if_the_reader_of_its_address_is_gone(start: Start) -> None:
    pytest.importorskip("uvicorn")
    process = start("serve", "--port", "0")
    assert _first_line(process).startswith("http://")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.stderr is not None
    assert any("serving" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0


def _prints(path: Path) -> Iterator[ast.Call]:
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print")


def _is_flushed(call: ast.Call) -> bool:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return "flush" in given or given.get("file") == "sys.stderr"  # which is flushed at the end of each line


@pytest.mark.slow
def test_every_print_is_flushed() -> None:
    package = Path(orchlite.__file__).parent
    wrong = [
        f"{path.relative_to(package)}:{call.lineno}" for path in package.rglob("*.py") for call in _prints(path) if not _is_flushed(call)
    ]
    assert wrong == []


@pytest.mark.slow
def test_serve_refuses_an_address_that_other_machines_reach(start: Start) -> None:
    pytest.importorskip("uvicorn")
    process = start("serve", "--port", "0", "--host", "0.0.0.0")
    _, stderr = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "allow" in stderr
