"""The gate, seen by real interpreters of every version that the machine has: without the order, no program is started."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from orchlite.environments import gate
from tests.interpreters import each_interpreter, make_environment

_PATIENCE_SECONDS = 10.0
_DESCRIPTOR = 63


@pytest.fixture(params=each_interpreter())
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The site-packages of an environment."""
    return make_environment(request.param, tmp_path / "environment")


class _Waiting:
    """A program that was started in advance, and this process in the place of its runner."""

    def __init__(self, environment: Path, program: str, *, value: str = "{pid}:{descriptor}:{inode}") -> None:
        self.folder = environment.parents[3] / "work"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "main.py").write_text("open('ran', 'w').close()\n" + program)
        self.end, theirs = socket.socketpair()
        self.end.settimeout(_PATIENCE_SECONDS)
        inode = os.fstat(theirs.fileno()).st_ino
        variable = value.format(pid=os.getpid(), descriptor=_DESCRIPTOR, inode=inode)
        self._read, write = os.pipe()
        python = environment.parents[2] / "bin" / "python"
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            self.pid = os.posix_spawn(
                python,
                [str(python), "-u", "main.py"],
                {"PATH": os.environ["PATH"], gate.VARIABLE: variable, "AFTER": "1"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), _DESCRIPTOR),
                    (os.POSIX_SPAWN_DUP2, write, 1),
                    (os.POSIX_SPAWN_DUP2, write, 2),
                ],
                setsid=True,
            )
        finally:
            os.chdir(before)
        theirs.close()
        os.close(write)

    def received(self) -> bytes:
        """Return the next byte; nothing at the end of file."""
        with suppress(ConnectionResetError):
            return self.end.recv(1)
        return b""

    def has_run(self) -> bool:
        return (self.folder / "ran").exists()

    def ended(self) -> tuple[int, str]:
        """Wait for the end. Return exit code and output."""
        pidfd = os.pidfd_open(self.pid)
        if not select.select([pidfd], (), (), _PATIENCE_SECONDS)[0]:
            os.killpg(self.pid, signal.SIGKILL)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.end.close()
        with os.fdopen(self._read, encoding="utf-8") as output:
            return code, output.read()


def _open(waiting: _Waiting) -> tuple[int, str]:
    assert waiting.received() == b"r"
    assert not waiting.has_run()
    waiting.end.send(b"x")
    assert waiting.received() == b"y"
    return waiting.ended()


def test_the_program_starts_when_the_order_has_come_and_sees_no_gate(environment: Path) -> None:
    program = (
        "import os, posix, subprocess, sys\n"
        "print(sorted(os.environ), sorted(posix.environ), os.listdir('/proc/self/fd'))\n"
        "print(subprocess.run(['env'], capture_output=True).stdout)\n"
        "sys.exit(3)"
    )
    code, output = _open(_Waiting(environment, program))
    assert code == 3
    assert "AFTER" in output
    assert "GATE" not in output
    assert str(_DESCRIPTOR) not in re.findall(r"'(\d+)'", output)


def test_at_the_end_of_file_the_process_ends_without_a_word(environment: Path) -> None:
    waiting = _Waiting(environment, "")
    assert waiting.received() == b"r"
    waiting.end.close()
    assert waiting.ended() == (1, "")
    assert not waiting.has_run()


def test_another_byte_is_no_order(environment: Path) -> None:
    waiting = _Waiting(environment, "")
    waiting.end.send(b"q")
    assert (waiting.received(), waiting.received()) == (b"r", b"")
    assert waiting.ended() == (1, "")
    assert not waiting.has_run()


@pytest.mark.parametrize(
    "line",
    [
        f"import os; os.close({_DESCRIPTOR})",
        f"import os; os.dup2(os.open('/dev/zero', os.O_RDWR), {_DESCRIPTOR})",
        f"import os, socket; pair = socket.socketpair(); pair[0].send(b'x'); os.dup2(pair[1].fileno(), {_DESCRIPTOR}); os.kept = pair",
        "import signal; signal.signal(signal.SIGALRM, lambda *_: 1 / 0); signal.setitimer(signal.ITIMER_REAL, 0.02)",
        "import os, posix; posix.getppid = None",
    ],
    ids=["closes it", "takes it", "takes it with an order inside", "has a handler that raises", "breaks what the gate uses"],
)
def test_a_descriptor_or_a_handler_that_another_path_file_changed_ends_the_process(environment: Path, line: str) -> None:
    (environment / "a.pth").write_text(line + "\n")
    waiting = _Waiting(environment, "")
    while waiting.received() == b"r":
        pass
    assert waiting.ended()[0] != 0
    assert not waiting.has_run()


@pytest.mark.parametrize("close_fds", [True, False])
def test_a_process_that_another_path_file_starts_passes_in_silence(environment: Path, close_fds: bool) -> None:
    child = "import sys; sys.stdout.write('child')"
    line = (
        f"import os, subprocess, sys; 'CHILD' in os.environ or ({not close_fds} and os.set_inheritable({_DESCRIPTOR}, True), "
        f"subprocess.run([sys.executable, '-c', {child!r}], close_fds={close_fds}, env={{**os.environ, 'CHILD': '1'}}), "
        "os.environ.update(CHILD='1'))"
    )
    (environment / "a.pth").write_text(line + "\n")
    code, output = _open(_Waiting(environment, ""))
    assert (code, output) == (0, "child")


def test_a_path_file_that_executes_the_interpreter_again_comes_to_the_gate_again(environment: Path) -> None:
    line = "import os, sys; 'AGAIN' in os.environ or os.execve(sys.executable, sys.orig_argv, {**os.environ, 'AGAIN': '1'})"
    (environment / "a.pth").write_text(line + "\n")
    assert _open(_Waiting(environment, ""))[0] == 0


def test_a_process_with_another_parent_passes(environment: Path) -> None:
    waiting = _Waiting(environment, "", value=f"{os.getppid()}:{{descriptor}}:{{inode}}")
    assert waiting.ended()[0] == 0
    assert waiting.has_run()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_at_the_gate_ends_the_process(environment: Path, number: signal.Signals) -> None:
    waiting = _Waiting(environment, "")
    assert waiting.received() == b"r"
    os.kill(waiting.pid, number)
    assert waiting.received() == b""
    waiting.ended()
    assert not waiting.has_run()


def test_a_process_that_was_stopped_and_continued_waits_on(environment: Path) -> None:
    waiting = _Waiting(environment, "")
    assert waiting.received() == b"r"
    os.kill(waiting.pid, signal.SIGSTOP)
    os.waitpid(waiting.pid, os.WUNTRACED)
    os.kill(waiting.pid, signal.SIGCONT)
    waiting.end.send(b"x")
    assert waiting.received() == b"y"
    assert waiting.ended()[0] == 0


def _preloaded(environment: Path, *names: str, program: str = "") -> _Waiting:
    return _Waiting(environment, program, value=":".join(["{pid}:{descriptor}:{inode}", *names]))


def test_modules_are_imported_before_the_order_and_what_they_print_is_not_lost(environment: Path) -> None:
    (environment / "slow.py").write_text("print('imported')")
    waiting = _preloaded(environment, "slow", "xml.etree", program="import sys; print('slow' in sys.modules, 'xml.etree' in sys.modules)")
    assert _open(waiting) == (0, "imported\nTrue True\n")


@pytest.mark.parametrize(
    ("module", "text"),
    [
        pytest.param("raise ValueError('why')", b"f ValueError: why", id="raises"),
        pytest.param("import sys; sys.exit(0)", b"f SystemExit: 0", id="exits"),
        pytest.param("import shadowed", b"f the bundle's own shadowed would not be imported", id="takes a name of the bundle"),
    ],
)
def test_a_module_that_cannot_be_imported_in_advance_is_reported_and_starts_nothing(environment: Path, module: str, text: bytes) -> None:
    (environment / "bad.py").write_text(module)
    (environment / "shadowed.py").touch()
    (environment.parents[3] / "work").mkdir()
    (environment.parents[3] / "work" / "shadowed.py").touch()
    waiting = _preloaded(environment, "bad")
    assert waiting.end.recv(512) == text
    assert (waiting.ended()[0], waiting.has_run()) == (1, False)


@pytest.mark.parametrize(
    "module",
    ["import os; os._exit(0)", "import signal; signal.raise_signal(signal.SIGALRM)", f"import os; os.close({_DESCRIPTOR})"],
    ids=["exits at once", "is interrupted as after 30 s", "closes the descriptor"],
)
def test_a_module_that_ends_the_process_starts_nothing(environment: Path, module: str) -> None:
    (environment / "bad.py").write_text(module)
    waiting = _preloaded(environment, "bad")
    assert waiting.received() == b""
    waiting.ended()
    assert not waiting.has_run()
