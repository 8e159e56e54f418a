"""The library is a guest in its host: it changes nothing there, leaves nothing behind, and passes none of the host's quirks on to runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]

_USES_IT = """
import gc, locale, logging, os, random, resource, signal, socket, sys, tempfile, threading, warnings

def state():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "wakeup descriptor": wakeup_descriptor(),
        "working folder": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "log handlers": list(logging.root.handlers),
        "log level": (logging.root.level, logging.root.manager.disable, logging.raiseExceptions, logging.getLoggerClass()),
        "warnings": [filter for filter in warnings.filters],
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook, sys.gettrace(), sys.getprofile()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "path": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), resource.getrlimit(resource.RLIMIT_NOFILE)),
        "random numbers": random.getstate(),
        "time-out of sockets": socket.getdefaulttimeout(),
        "garbage collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), list(gc.callbacks)),
        "temporary files": tempfile.tempdir,
    }

def wakeup_descriptor():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor

def left():
    try:
        os.waitpid(-1, os.WNOHANG)
        has_children = True
    except ChildProcessError:
        has_children = False
    return {"threads": threading.enumerate(), "children": has_children, "open files": sorted(os.listdir("/dev/fd"))}

tempfile.gettempdir()
before, left_before = state(), left()
import orchlite
with orchlite.Client(sys.argv[1], workers=2) as client:
    run = client.run(sys.argv[2])
    assert (run.status(), str(run.logs())) == ("success", "ran\\n")
    orchestration = client.list_orchestrations()[0]
    orchestration.run_once().kill()
    assert not [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
with orchlite.Client.temporary() as temporary:
    temporary.run(sys.argv[2])
gc.collect()
after, left_after = state(), left()
for what in before:
    assert before[what] == after[what], what
for what in left_before:
    assert left_before[what] == left_after[what], (what, left_before[what], left_after[what])
"""


@pytest.mark.slow
def test_a_host_is_the_same_after_using_the_library(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    # In development mode Python tells of everything that was not closed.
    strict = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    host = start_host(_USES_IT, store, folder("print('ran')"), stderr=subprocess.PIPE, **strict)
    output, said = host.communicate(timeout=30)
    assert (output, said, host.returncode) == ("", "", 0)
    check_store(store)


def test_importing_the_library_starts_nothing_and_says_nothing(start_host: StartHost) -> None:
    script = """
import os, sys, threading
before = set(os.listdir("/dev/fd")), sorted(os.environ.items()), list(sys.path)
import orchlite, orchlite.client.client
assert before == (set(os.listdir("/dev/fd")), sorted(os.environ.items()), list(sys.path))
assert threading.enumerate() == [threading.main_thread()]
heavy = {"virtualenv", "packaging", "subprocess", "croniter", "asyncio", "zipfile", "sqlite3.dbapi2"} & set(sys.modules)
for later in ("bundles.bundle", "client.lookup", "operations.comparison", "operations.import_warnings", "schedules.zones"):
    assert f"orchlite.{later}" not in sys.modules, later
print(*sorted(heavy - {"sqlite3.dbapi2"}))
"""
    host = start_host(script, stderr=subprocess.PIPE, PYTHONDEVMODE="1", PYTHONWARNINGS="error")
    assert host.communicate(timeout=30) == ("\n", "")
    assert host.returncode == 0


@pytest.mark.slow
def test_the_library_may_be_used_in_a_thread_that_is_not_the_main_one(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    script = """
import sys, threading

def use():
    import orchlite
    with orchlite.Client(sys.argv[1], workers=1) as client:
        print(client.run(sys.argv[2]).status())

thread = threading.Thread(target=use)
thread.start()
thread.join()
"""
    host = start_host(script, tmp_path / "store", folder("print('ran')"))
    assert host.communicate(timeout=30)[0] == "success\n"
    check_store(tmp_path / "store")


# A host with habits of its own, which are not those of a fresh process.
_ODD_HOST = """
import os, signal, sys
import orchlite

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.umask(0o027)
os.set_inheritable(os.open(sys.argv[0], os.O_RDONLY), True)
with orchlite.Client(sys.argv[1], workers=1, grace_seconds=5) as client:
    run = client.run(sys.argv[2])
    print(run.logs())
    [sleeper] = client.upload_orchestration(path=sys.argv[3]).wait().run_once(timeout=1).last_runs()
    print(sleeper.wait().status(), sleeper.exit_code(), sleeper.duration() < 2)
"""
_TELLS = """
import json, os, signal
os.close(os.open("made", os.O_CREAT, 0o666))
ignored = [n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
umask = 0o666 & ~(os.stat("made").st_mode & 0o777)
files = sorted(int(name) for name in os.listdir("/dev/fd"))
print(json.dumps({
    "ignored": [signal.Signals(n).name for n in ignored], "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "umask": umask, "files": files[:-1], "input": os.readlink("/proc/self/fd/0"), "leader": os.getsid(0) == os.getpid(),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_run_starts_like_any_fresh_process_whatever_its_host_has_done_to_itself(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    host = start_host(_ODD_HOST, store, folder(_TELLS), folder("import time; time.sleep(60)"))
    told, sleeper = host.communicate(timeout=30)[0].strip().split("\n\n")
    # Python itself ignores these two; the umask is the host's, as a child's is.
    assert json.loads(told) == {
        "ignored": ["SIGPIPE", "SIGXFSZ"],
        "blocked": 0,
        "umask": 0o026,
        "files": [0, 1, 2],
        "input": "/dev/null",
        "leader": True,
    }
    assert sleeper == "timed_out 143 True"
    check_store(store)


def test_a_runner_imports_nothing_that_only_some_runs_need() -> None:
    start = Path(orchlite.__file__).parent / "runs" / "runner" / "start.py"
    command = [sys.executable, "-X", "importtime", "-I", "-S", "-u", str(start)]
    report = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30).stderr
    imported = {line.rpartition("|")[2].strip() for line in report.splitlines()}
    assert "runner.loop" in imported
    assert imported & {"typing", "traceback", "subprocess", "socket", "logging", "pathlib", "resource"} == set()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_runner_hears_its_signals_whatever_its_host_blocks(start_host: StartHost, folder: MakeFolder, tmp_path: Path) -> None:
    script = """
import json, os, pathlib, signal, sys, time
import orchlite
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
with orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5) as client:
    orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
    [run] = orchestration.run_once().last_runs()
    next(run.logs(follow=True))
    started = json.loads(pathlib.Path(sys.argv[1], "runs", run.id(), "started.json").read_text())
    os.kill(started["pid"], signal.SIGTERM)
    print(run.wait(20).status())
"""
    host = start_host(script, tmp_path / "store", folder("import time; print('begun'); time.sleep(20)"))
    assert host.communicate(timeout=30)[0] == "killed\n"
