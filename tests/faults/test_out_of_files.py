"""A process that may open no more files for a moment: it is told so, and the store is as good as before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

MakeFolder = Callable[..., Path]
StartHost = Callable[..., "subprocess.Popen[str]"]

_SCRIPT = """
import resource, sys, threading
import orchlite

with orchlite.Client(sys.argv[1]) as client:
    client.run(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
client = orchlite.Client(sys.argv[1])
taken = []
try:
    while True:
        taken.append(open("/dev/null"))
except OSError:
    pass
def use(call):
    try:
        call()
        print("worked")
    except orchlite.DeviceFailed as error:
        print(type(error).__name__)

for call in (client.list_tasks, lambda: client.create_workspace("another"), lambda: orchlite.Client(sys.argv[1])):
    thread = threading.Thread(target=use, args=[call])  # which has no connection yet
    thread.start()
    thread.join()
for file in taken:
    file.close()
print(len(client.list_tasks()), client.check())
"""


def test_it_is_told_so_and_the_store_is_unharmed(start_host: StartHost, folder: MakeFolder, tmp_path: Path) -> None:
    host = start_host(_SCRIPT, tmp_path / "store", folder("print('hello')"))
    output, _ = host.communicate(timeout=60)
    assert output.splitlines() == ["ResourceExhausted"] * 3 + ["1 []"]


_RUNS = """
import resource, sys, threading, time
import orchlite

client = orchlite.Client(sys.argv[1], workers=2)
orchestration = client.upload_orchestration(path=sys.argv[2]).wait()
for task in [orchestration.run_once() for _ in range(4)]:  # each worker has its connection and its runner now
    task.wait()
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
taken = []
try:
    while True:
        taken.append(open("/dev/null"))
except OSError:
    pass
task = orchestration.run_once()
def reasons():
    return [event.reason() for event in client.events() if event.became() == "queued" and "could not be started" in (event.reason() or "")]
deadline = time.monotonic() + 30
while not reasons() and not task.last_runs()[0].ended_at() and time.monotonic() < deadline:
    time.sleep(0.05)
for file in taken:
    file.close()
run = task.wait(timeout=60)
print(run.status(), run.exit_code(), len(reasons()) > 0)
client.close()
"""


def test_a_run_that_cannot_be_started_meanwhile_waits_in_the_queue_and_succeeds(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    host = start_host(_RUNS, tmp_path / "store", folder("print('hello')"))
    output, _ = host.communicate(timeout=120)
    assert output.splitlines() == ["success 0 True"]
