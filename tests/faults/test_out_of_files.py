"""A process that may open no more files for a moment: it is told so, and the store is as good as before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import orchlite
from orchlite.bundles import bundle
from orchlite.client.client import engine_of
from orchlite.environments import virtualenvs
from orchlite.environments.builds import Builds
from orchlite.inference import data_files
from orchlite.operations import integrity
from orchlite.operations.model_upload import checked_source

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_that_cannot_be_started_meanwhile_waits_in_the_queue_and_succeeds(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    host = start_host(_RUNS, tmp_path / "store", folder("print('hello')"))
    output, _ = host.communicate(timeout=120)
    assert output.splitlines() == ["success 0 True"]


_PACKAGES = """
import os, resource, sys, time
import orchlite

client = orchlite.Client(sys.argv[1], workers=1)
for _ in range(2):  # the worker has its connection and its runner now, and everything is imported
    busy = client.upload_orchestration(path=sys.argv[2], refresh=True).wait()
task = busy.run_once()
while "waiting" not in task.last_runs()[0].logs():
    time.sleep(0.01)
orchestration = client.upload_orchestration(path=sys.argv[3], refresh=True)  # must wait for the only worker
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
taken = []
try:
    while True:
        taken.append(open("/dev/null"))
except OSError:
    pass
os.rename(sys.argv[4] + ".closed", sys.argv[4])
def reasons():
    return [event.reason() for event in client.events() if event.became() == "queued" and "could not be started" in (event.reason() or "")]
deadline = time.monotonic() + 30
while not reasons() and orchestration.status() != "error" and time.monotonic() < deadline:
    time.sleep(0.05)
print(len(reasons()), orchestration.status())
for file in taken:
    file.close()
print(orchestration.wait(60).status(), orchestration.run_once().wait().status())
client.close()
"""


@pytest.mark.slow
def test_packaging_that_cannot_begin_meanwhile_waits_in_the_queue_and_succeeds(
    start_host: StartHost, folder: MakeFolder, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    (tmp_path / "gate.closed").touch()
    waits = f"import os, time\nprint('waiting', flush=True)\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
    host = start_host(_PACKAGES, tmp_path / "store", folder(waits), folder("print('hello')"), gate)
    output, _ = host.communicate(timeout=120)
    assert output.splitlines() == ["1 pending_packaging", "ready success"]


_ZONES = {"first": "Pacific/Nauru", "second": "Pacific/Palau"}
_CALLS: dict[str, Callable[[orchlite.Client, Path, bytes], object]] = {
    "an upload of bytes": lambda client, folder, content: client.upload_orchestration(content),
    "an upload of a ZIP": lambda client, folder, content: client.upload_orchestration(path=folder / "bundle.zip"),
    "an upload of a folder": lambda client, folder, content: client.upload_orchestration(path=folder),
    "a backup": lambda client, folder, content: client.backup(folder / "copy"),
    "a restored backup": lambda client, folder, content: orchlite.Client.restore(folder.parent / "backup", folder / "restored"),
    "a build": lambda client, folder, content: Builds(folder / "cache", virtualenvs).building("key", lambda: False).__enter__(),
    "an upload of a model": lambda client, folder, content: client.upload_model("model", folder / "step.py", "python"),
    "a scene": lambda client, folder, content: client.seed(folder / "scene.toml"),
    "a model of a scene": lambda client, folder, content: checked_source(engine_of(client).context, folder / "step.py", "model", "python"),
    "data to infer": lambda client, folder, content: data_files.read(folder / "data.json", data_files.CUSTOM_JSON),
    "a check": lambda client, folder, content: client.check(),
    "a prune": lambda client, folder, content: client.prune(timedelta(days=1)),
    "a temporary client": lambda client, folder, content: orchlite.Client.temporary().close(),
    "a schedule": lambda client, folder, content: orchlite.upcoming("0 0 * * *", 1, timezone=_ZONES[folder.name]),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", _CALLS)
def test_it_is_never_taken_for_another_reason(
    client: orchlite.Client, smallest_bundle: bytes, tmp_path: Path, no_descriptors: Callable[[], None], what: str
) -> None:
    client.backup(tmp_path / "backup")
    for name in _ZONES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").touch()
        (tmp_path / name / "bundle.zip").write_bytes(smallest_bundle)
        (tmp_path / name / "step.py").write_text("def process_data(columns):\n    return columns\n")
        (tmp_path / name / "scene.toml").write_text('[models.first]\npath = "step.py"\n')
        (tmp_path / name / "data.json").write_text("{}")
    _CALLS[what](client, tmp_path / "first", smallest_bundle)  # imports what it needs
    no_descriptors()
    with pytest.raises(orchlite.ResourceExhausted, match="may open no more files"):
        _CALLS[what](client, tmp_path / "second", smallest_bundle)


def test_what_cannot_be_read_meanwhile_is_not_reported_as_damaged(
    client: orchlite.Client, smallest_bundle: bytes, no_descriptors: Callable[[], None]
) -> None:
    client.upload_orchestration(smallest_bundle).wait()
    check = integrity._Check(engine_of(client).context, False, lambda part, done, total: None)
    parts = (integrity._bundles, integrity._ended_runs)
    assert [list(part(check)) for part in parts] == [[], []]
    no_descriptors()
    for part in parts:
        with pytest.raises(OSError, match="Too many open files"):
            list(part(check))


def test_what_cannot_be_compared_meanwhile_is_not_taken_for_changed(
    smallest_bundle: bytes, tmp_path: Path, no_descriptors: Callable[[], None]
) -> None:
    (tmp_path / "bundle.zip").write_bytes(smallest_bundle)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "main.py").touch()
    bundled = bundle._bundled_entries(tmp_path / "bundle.zip")
    [work] = bundle._folders(tmp_path / "work")
    [file] = work.files
    assert bundle._is_unchanged(file, bundled["main.py"])
    no_descriptors()
    with pytest.raises(OSError, match="Too many open files"):
        list(bundle._folders(tmp_path / "work"))
    with pytest.raises(OSError, match="Too many open files"):
        bundle._is_unchanged(file, bundled["main.py"])
