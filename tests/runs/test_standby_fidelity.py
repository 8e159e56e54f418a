"""A program sees the same whether it is started by hand, by a runner, or was held at the gate for a while."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchlite.core.folders import RunFolder
from orchlite.runs import logs
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec
from tests.interpreters import each_interpreter, make_environment
from tests.standbys import at_the_gate

_PROGRAMS = {
    "arguments": "import sys; print(sys.argv, sys.orig_argv, sys.executable, sys.prefix, sys.flags)",
    "path": "import sys; print(sys.path, sorted(sys.path_importer_cache), sys.meta_path)",
    "modules": "import sys; print(list(sys.modules))",
    "module": "print({n: v for n, v in globals().items() if n != '__loader__'}, __loader__.path, __loader__.name)",
    "variables": "import os, posix, subprocess; print(dict(os.environ), posix.environ, subprocess.check_output(['env']))",
    "descriptors": "import os\nfor n in range(256):\n  try: print(n, os.get_inheritable(n), os.fstat(n).st_mode)\n  except OSError: pass",
    "signals": (
        "import signal; print([(n, signal.getsignal(n)) for n in sorted(signal.valid_signals())], signal.pthread_sigmask(0, []), "
        "signal.getitimer(0), signal.set_wakeup_fd(-1))"
    ),
    "process": (
        "import os, resource; print(os.getpid() == os.getsid(0) == os.getpgrp(), os.getcwd(), os.umask(0), os.nice(0), "
        "[resource.getrlimit(n) for n in range(16)])"
    ),
    "folder": "import os; print(sorted((e.name, e.is_dir(), e.stat().st_mode) for e in os.scandir('.')), os.stat('main.py').st_nlink)",
    "threads": "import sys, threading; print(threading.enumerate(), sys._current_frames().keys() == {threading.get_ident()})",
    "frames": (
        "import sys, inspect; f = sys._getframe(); print(f.f_back, f.f_code.co_filename, f.f_lineno, sys.gettrace(), sys.getprofile(), "
        "sys.exc_info(), sys.getrecursionlimit(), sys.getswitchinterval())"
    ),
    "hooks": "import sys, gc; print(sys.excepthook is sys.__excepthook__, gc.get_threshold(), gc.callbacks, gc.isenabled())",
    "site": "import site; print(sorted(n for n in vars(site)), site.ENABLE_USER_SITE, site.getsitepackages(), dir(__builtins__))",
    "warnings": "import warnings, sys; print(warnings.filters, sys.warnoptions, sys._xoptions, sys.implementation)",
    "streams": "import sys; print([(s.name, s.encoding, s.errors, s.line_buffering, s.write_through) for s in (sys.stdin, sys.stdout)])",
    "exit": "import atexit, sys; atexit.register(print, 'at exit'); print(sys.stdin.read(), atexit._ncallbacks()); sys.exit(7)",
    "failure": "def f(n):\n  return f(n - 1) if n else 1 / 0\nf(3)",
    "children": (
        "import multiprocessing, os\ndef f(): print(os.getppid() != 0, flush=True)\nif __name__ == '__main__':\n"
        "  p = multiprocessing.get_context('spawn').Process(target=f); p.start(); p.join(); print(p.exitcode)"
    ),
}


@pytest.fixture
def runners(tmp_path: Path) -> Iterator[Runners]:
    runners = Runners(tmp_path / "runners.log")
    yield runners
    runners.close()


def _spec(python: Path, folder: RunFolder, program: str) -> RunSpec:
    attempt = folder.attempt(1)
    attempt.work.mkdir(parents=True)
    (attempt.work / "main.py").write_text(program)
    return RunSpec(
        run_id=folder.run_id,
        attempt=1,
        folder=str(folder.path),
        command=(str(python), "-u", "main.py"),
        working_folder=str(attempt.work),
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "WALLAROO_TASK_ID": "t",
            "ORCHLITE_SDK": "/ours",
            "ORCHLITE_RUN_TOKEN": folder.run_id,
        },
        log=str(attempt.log),
        timeout_seconds=60.0,
        grace_seconds=0.5,
        log_bytes=1_000_000,
        leash=False,
    )


def _by_hand(spec: RunSpec) -> tuple[int, str]:
    status = Path(spec.folder).stat()
    env = {**spec.env, "ORCHLITE_RUN_PLACE": f"{status.st_dev}:{status.st_ino}"}
    done = subprocess.run(
        spec.command,
        env=env,
        cwd=spec.working_folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "1 / 0" in Path(spec.working_folder, "main.py").read_text() else subprocess.PIPE,
        start_new_session=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _by_a_runner(runners: Runners, spec: RunSpec) -> tuple[int | None, str]:
    runners.place(spec)
    observed = runners.wait(RunFolder(Path(spec.folder)))
    assert isinstance(observed, Ended)
    return observed.result.exit_code, str(logs.read(Path(spec.log)))


def _without_addresses(found: tuple[int | None, str], spec: RunSpec) -> tuple[int | None, list[str]]:
    status = Path(spec.folder).stat()
    text = (
        found[1]
        .rstrip("\n")
        .replace(spec.folder, "FOLDER")
        .replace(spec.run_id, "RUN")
        .replace(f"{status.st_dev}:{status.st_ino}", "PLACE")
    )
    return found[0], re.sub(r"0x[0-9a-f]+|MainThread, started \d+", "ADDRESS", text).split("\n")


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", each_interpreter())
def test_every_program_sees_the_same_in_three_ways(runners: Runners, tmp_path: Path, interpreter: str) -> None:
    python = make_environment(interpreter, tmp_path / "environment").parents[2] / "bin" / "python"
    differences = {}
    for name, program in _PROGRAMS.items():
        bare, cold, standby = (_spec(python, RunFolder(tmp_path / "runs" / f"{uuid.uuid4()}-{way}"), program) for way in ("b", "c", "s"))
        runners.prepare(standby)
        pid = at_the_gate(standby)
        expected = _without_addresses(_by_hand(bare), bare)
        found = [_without_addresses(_by_a_runner(runners, spec), spec) for spec in (cold, standby)]
        assert json.loads(RunFolder(Path(standby.folder)).started.read_bytes())["session"] == pid
        for way, seen in zip(("cold", "standby"), found, strict=True):
            if seen != expected:
                differences[name, way] = [pair for pair in zip(expected, seen, strict=True) if pair[0] != pair[1]]
    assert differences == {}
