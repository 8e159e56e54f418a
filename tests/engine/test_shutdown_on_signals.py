"""`run_forever`: a process serves the store until a signal arrives, and has its own handlers again afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import orchlite

OpenClient = Callable[..., orchlite.Client]
MakeFolder = Callable[..., Path]
StartServer = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], object]], None]

_ROOT = Path(orchlite.__file__).parents[1]

# Serves until it is signalled, and prints the handlers before and after.
_SERVES = """
import signal, sys, orchlite

def handlers():
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

signal.signal(signal.SIGHUP, signal.SIG_IGN)
before = handlers()
client = orchlite.Client(sys.argv[1], workers=1, grace_seconds=0.5)
assert handlers() == before
print("serving", flush=True)
client.run_forever()
assert handlers() == before
try:
    client.list_tasks()
except orchlite.Closed:
    print("closed")
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[StartServer]:
    """Start a script as a process that serves the test's store, and wait for its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str = _SERVES) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", script, str(tmp_path / "store")]
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
        started.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "serving\n"
        return server

    yield start
    for server in started:
        with suppress(ProcessLookupError):
            server.kill()
        server.communicate()


@pytest.fixture
def queued(open_client: OpenClient, folder: MakeFolder, waiting_program: str) -> orchlite.TaskRun:
    """A run that a client has queued before it closed; only a host that serves the whole store starts it."""
    client = open_client()
    orchestration = client.upload_orchestration(path=folder(waiting_program)).wait()
    busy = orchestration.run_once()
    run = orchestration.run_once().last_runs()[0]
    next(busy.last_runs()[0].logs(follow=True))
    client.close(drain=False)
    with orchlite.Client(client.path()) as other:
        other.get_task_by_id(busy.id()).kill()
        other.get_task_by_id(busy.id()).wait()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_next_host_records_the_run_in_flight(
    serve: StartServer, queued: orchlite.TaskRun, open_client: OpenClient, gate: Path, until: Until, number: signal.Signals
) -> None:
    server = serve()
    client = open_client()
    run = client.get_task_run_by_id(queued.id())
    until(lambda: "begun" in run.logs())
    server.send_signal(number)
    assert server.communicate(timeout=20) == ("closed\n", "")
    assert server.returncode == 0
    assert run.status() == "running"
    gate.touch()
    assert run.wait(20).status() == "success"
    assert [line.text for line in run.logs()] == ["begun", "done"]


def test_it_executes_what_others_have_queued(serve: StartServer, queued: orchlite.TaskRun, open_client: OpenClient, gate: Path) -> None:
    gate.touch()
    serve()
    client = open_client()
    assert client.get_task_run_by_id(queued.id()).wait(20).status() == "success"


@pytest.mark.parametrize("times", [2, 20])
def test_several_signals_at_once_end_it_like_one(serve: StartServer, times: int) -> None:
    server = serve()
    for _ in range(times):
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGTERM)
            os.kill(server.pid, signal.SIGINT)
    output, complaints = server.communicate(timeout=20)
    # The last one may arrive after the handlers were restored.
    assert server.returncode in (0, -signal.SIGTERM, -signal.SIGINT)
    assert server.returncode != 0 or (output, complaints) == ("closed\n", "")


def test_close_from_another_thread_ends_it_and_the_signals_are_handled_as_before(open_client: OpenClient, until: Until) -> None:
    client, before = open_client(), [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    during: list[object] = []

    def stop() -> None:
        until(lambda: signal.getsignal(signal.SIGTERM) is not before[0])
        during.append(signal.getsignal(signal.SIGTERM))
        client.close()

    thread = threading.Thread(target=stop)
    thread.start()
    client.run_forever()
    thread.join()
    assert during
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(orchlite.Closed):
        client.list_tasks()


def test_without_signals_it_works_in_any_thread_and_changes_no_handler(
    open_client: OpenClient, queued: orchlite.TaskRun, gate: Path
) -> None:
    client, before = open_client(), signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=client.run_forever, kwargs={"signals": ()})
    thread.start()
    gate.touch()
    assert client.get_task_run_by_id(queued.id()).wait(20).status() == "success"
    assert signal.getsignal(signal.SIGTERM) is before
    assert thread.is_alive()
    client.close()
    thread.join(20)
    assert not thread.is_alive()


def test_signals_in_another_thread_are_refused_with_a_hint_and_the_client_stays_open(open_client: OpenClient) -> None:
    client, errors = open_client(), list[orchlite.BadArgument]()

    def forever() -> None:
        try:
            client.run_forever()
        except orchlite.BadArgument as error:
            errors.append(error)

    thread = threading.Thread(target=forever)
    thread.start()
    thread.join(20)
    [error] = errors
    assert "signals=()" in str(error)
    assert client.list_tasks() == []


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param((signal.SIGTERM, signal.SIGKILL), id="one that cannot be handled"),
        pytest.param((signal.SIGTERM, 4711), id="no signal"),
        pytest.param((signal.SIGTERM, "SIGINT"), id="a name"),
    ],
)
def test_what_cannot_be_handled_is_refused_and_nothing_is_changed(open_client: OpenClient, signals: tuple[signal.Signals, ...]) -> None:
    client, before, threads = open_client(), signal.getsignal(signal.SIGTERM), threading.active_count()
    with pytest.raises(orchlite.BadArgument, match="signals"):
        client.run_forever(signals=signals)
    assert signal.getsignal(signal.SIGTERM) is before
    assert threading.active_count() == threads
    assert client.list_tasks() == []


def test_a_closed_client_cannot_serve(open_client: OpenClient) -> None:
    client, before = open_client(), signal.getsignal(signal.SIGTERM)
    client.close()
    with pytest.raises(orchlite.Closed):
        client.run_forever()
    assert signal.getsignal(signal.SIGTERM) is before


def test_inside_a_task_it_is_refused(client: orchlite.Client, folder: MakeFolder) -> None:
    program = """
        import os, sys
        sys.path.append(os.environ["ORCHLITE_ROOT"])
        import orchlite
        try:
            orchlite.Client(os.environ["ORCHLITE_STORE"]).run_forever()
        except orchlite.Conflict as error:
            print(error)
    """
    run = client.run(folder(textwrap.dedent(program)), env={"ORCHLITE_ROOT": str(_ROOT)})
    assert run.status() == "success"
    assert "run of this store" in str(run.logs())


# The handler is called between any two bytecode instructions of the main thread.
_INTERRUPTED_AGAIN_AND_AGAIN = _SERVES.replace(
    'print("serving", flush=True)', 'signal.setitimer(signal.ITIMER_REAL, 0.2, 0.0001)\nprint("serving", flush=True)'
).replace("client.run_forever()", "client.run_forever(signals=(signal.SIGALRM,))\nsignal.setitimer(signal.ITIMER_REAL, 0)")


def test_a_storm_of_signals_does_not_hang_it(serve: StartServer) -> None:
    script = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n" + _INTERRUPTED_AGAIN_AND_AGAIN
    server = serve(script)
    assert server.communicate(timeout=20) == ("closed\n", "")
    assert server.returncode == 0
