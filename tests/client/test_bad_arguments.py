"""Bad arguments: each raises a typed error that names the argument and gives a hint, and nothing is stored."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, BadBundle, Client, DeviceFailed, Limits, NotFound, Orchestration, OrchliteError, Task, TaskRun


@dataclass(frozen=True)
class _Ready:
    """A client that has run a program once."""

    client: Client
    orchestration: Orchestration
    task: Task
    run: TaskRun
    folder: Path

    def stored(self) -> list[str]:
        """Return everything in the store."""
        with closing(sqlite3.connect(self.client.path() / "store.sqlite")) as connection:
            files = sorted(str(path) for name in ("bundles", "runs") for path in (self.client.path() / name).rglob("*"))
            return [*connection.iterdump(), *files]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[_Ready]:
    folder = tmp_path_factory.mktemp("bad-arguments")
    (folder / "empty").mkdir()
    (folder / "bundle").mkdir()
    (folder / "bundle" / "main.py").write_text("print('hello')")
    os.mkfifo(folder / "pipe")
    with Client(folder / "store", workers=1, keep_work="all") as client:
        orchestration = client.upload_orchestration(path=folder / "bundle").wait()
        task = orchestration.run_once()
        yield _Ready(client, orchestration, task, task.wait(), folder)


def _nested(depth: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for _ in range(depth):
        arguments = {"a": arguments}
    return arguments


_NO_NAMES = {"empty": "", "10 kB": "x" * 10_240, "NUL": "a\0b", "newline": "a\nb", "half a character": "\ud800", "number": 5}
_NO_TIMES = {"-1": -1, "NaN": math.nan, "infinite": math.inf, "True": True, "text": "5"}
_NO_TIMEOUTS = {**_NO_TIMES, "0": 0, "1e300": 1e300}
_NO_ARGUMENTS = {
    "a list": [1],
    "a text": "{}",
    "no JSON": {"a": object()},
    "NaN": {"a": math.nan},
    "over 1 MiB": {"a": "x" * 1024 * 1024},
    "too deep": _nested(10_000),
}
_NO_ENV = {"a list": ["A"], "a number as value": {"A": 1}, "NUL": {"A": "\0"}, "an equals sign": {"A=B": ""}}
_NO_LIMITS = {"-1": -1, "True": True, "text": "5", "fraction": 1.5, "too large": 2**80}
_NO_PATHS = {
    "empty": "",
    "number": 5,
    "bytes": b"/tmp",
    "NUL": "a\0b",
    "absent": "/absent/bundle",
    "too long": "x" * 5000,
    "nobody": "~nobody-there/x",
}
_NO_IDS = {"number": 5, "bytes": b"x", "NUL": "a\0b", "10 kB": "x" * 10_240, "half a character": "\ud800"}

Call = Callable[[_Ready, Any], object]
_CALLS: dict[str, tuple[str, dict[str, Any], Call]] = {
    "run_once(name)": ("name", _NO_NAMES, lambda ready, bad: ready.orchestration.run_once(name=bad)),
    "run_once(json_args)": ("json_args", _NO_ARGUMENTS, lambda ready, bad: ready.orchestration.run_once(json_args=bad)),
    "run_once(timeout)": ("timeout", _NO_TIMEOUTS, lambda ready, bad: ready.orchestration.run_once(timeout=bad)),
    "run_once(debug)": ("debug", {"1": 1, "text": "yes"}, lambda ready, bad: ready.orchestration.run_once(debug=bad)),
    "run_once(env)": ("env", _NO_ENV, lambda ready, bad: ready.orchestration.run_once(env=bad)),
    "run(path)": ("path", {**_NO_PATHS, "none": None}, lambda ready, bad: ready.client.run(bad)),
    "run(json_args)": ("json_args", _NO_ARGUMENTS, lambda ready, bad: ready.client.run(ready.folder / "bundle", bad)),
    "run(timeout)": ("timeout", _NO_TIMEOUTS, lambda ready, bad: ready.client.run(ready.orchestration, timeout=bad)),
    "run(follow)": ("follow", {"1": 1}, lambda ready, bad: ready.client.run(ready.orchestration, follow=bad)),
    "upload(path)": ("path", {**_NO_PATHS, "none": None}, lambda ready, bad: ready.client.upload_orchestration(path=bad)),
    "upload(a pipe)": ("path", {"pipe": "pipe"}, lambda ready, bad: ready.client.upload_orchestration(path=ready.folder / bad)),
    "upload(a device)": ("path", {"zero": "/dev/zero"}, lambda ready, bad: ready.client.upload_orchestration(path=bad)),
    "upload(both)": ("path", {"both": b"x"}, lambda ready, bad: ready.client.upload_orchestration(bad, path=ready.folder / "bundle")),
    "upload(bytes_buffer)": (
        "bytes_buffer",
        {"text": "x", "number": 5, "list": [1]},
        lambda ready, bad: ready.client.upload_orchestration(bytes_buffer=bad),
    ),
    "upload(name)": ("name", _NO_NAMES, lambda ready, bad: ready.client.upload_orchestration(path=ready.folder / "bundle", name=bad)),
    "upload(file_name)": (
        "file_name",
        _NO_NAMES,
        lambda ready, bad: ready.client.upload_orchestration(path=ready.folder / "bundle", file_name=bad),
    ),
    "upload(exclude)": (
        "exclude",
        {"text": "*.csv", "number": 5, "none": None, "numbers": [5]},
        lambda ready, bad: ready.client.upload_orchestration(path=ready.folder / "bundle", exclude=bad),
    ),
    "get_workspace(name)": ("name", _NO_NAMES, lambda ready, bad: ready.client.get_workspace(bad, create_if_not_exist=True)),
    "get_workspace(create_if_not_exist)": (
        "create_if_not_exist",
        {"1": 1, "none": None},
        lambda ready, bad: ready.client.get_workspace("default", create_if_not_exist=bad),
    ),
    "get_orchestration_by_id": ("orchestration_id", _NO_IDS, lambda ready, bad: ready.client.get_orchestration_by_id(bad)),
    "get_task_by_id": ("task_id", _NO_IDS, lambda ready, bad: ready.client.get_task_by_id(bad)),
    "get_task_run_by_id": ("run_id", _NO_IDS, lambda ready, bad: ready.client.get_task_run_by_id(bad)),
    "list_tasks(killed)": ("killed", {"1": 1, "none": None}, lambda ready, bad: ready.client.list_tasks(killed=bad)),
    "list_tasks(limit)": ("limit", _NO_LIMITS, lambda ready, bad: ready.client.list_tasks(limit=bad)),
    "list_tasks(after)": ("after", {"number": 5}, lambda ready, bad: ready.client.list_tasks(after=bad)),
    "events(newest_first)": ("newest_first", {"1": 1, "none": None}, lambda ready, bad: ready.client.events(newest_first=bad)),
    "last_runs(limit)": ("limit", _NO_LIMITS, lambda ready, bad: ready.task.last_runs(limit=bad)),
    "last_runs(status)": ("status", {"text": "done", "list": [], "number": 5}, lambda ready, bad: ready.task.last_runs(status=bad)),
    "logs(limit)": ("limit", _NO_LIMITS, lambda ready, bad: ready.run.logs(limit=bad)),
    "orchestration.wait(timeout)": ("timeout", _NO_TIMES, lambda ready, bad: ready.orchestration.wait(bad)),
    "task.wait(timeout)": ("timeout", _NO_TIMES, lambda ready, bad: ready.task.wait(bad)),
    "run.wait(timeout)": ("timeout", _NO_TIMES, lambda ready, bad: ready.run.wait(bad)),
    "download(path)": ("path", {"number": 5, "empty": "", "NUL": "\0"}, lambda ready, bad: ready.orchestration.download(bad)),
}
_EVERY_CALL = [
    pytest.param(argument, bad, call, id=f"{name}-{kind}") for name, (argument, bads, call) in _CALLS.items() for kind, bad in bads.items()
]


@pytest.mark.parametrize(("argument", "bad", "call"), _EVERY_CALL)
def test_a_bad_argument_is_refused_by_name_and_nothing_is_stored(ready: _Ready, argument: str, bad: object, call: Call) -> None:
    before = ready.stored()
    with pytest.raises(BadArgument) as refusal:
        call(ready, bad)
    assert refusal.value.details["argument"] == argument
    assert refusal.value.hint
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000
    assert ready.stored() == before


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param(lambda ready: ready.client.get_task_by_id(ready.run.id()), NotFound, id="the id of something else"),
        pytest.param(lambda ready: ready.client.get_task_run_by_id(""), NotFound, id="an empty id"),
        pytest.param(lambda ready: ready.client.upload_orchestration(b""), BadBundle, id="no bytes"),
        pytest.param(
            lambda ready: ready.client.upload_orchestration(path=ready.folder / "empty"), BadBundle, id="a folder without main.py"
        ),
        pytest.param(lambda ready: ready.orchestration.download("/proc/no/such"), DeviceFailed, id="a file that cannot be made"),
    ],
)
def test_a_failure_that_is_not_the_arguments_fault_is_another_error(
    ready: _Ready, call: Callable[[_Ready], object], error: type[OrchliteError]
) -> None:
    before = ready.stored()
    with pytest.raises(error):
        call(ready)
    assert ready.stored() == before


_SETTINGS: dict[str, dict[str, Any]] = {
    "workers": {"0": 0, "-1": -1, "True": True, "fraction": 1.5, "text": "2"},
    "base_image": {"unknown": "alpine", "number": 5, "none": None},
    "keep_work": {"unknown": "some", "True": True},
    "grace_seconds": _NO_TIMES,
    "install_timeout_seconds": _NO_TIMES,
    "env": _NO_ENV,
    "env_passthrough": {"text": "A", "number": 5, "empty": [""], "numbers": [5]},
    "index_urls": {"text": "https://example.org/simple", "number": 5, "none": None, "empty": [""]},
    "limits": {"none": None, "number": 5, "dictionary": {}},
}


@pytest.mark.parametrize(
    ("setting", "bad"),
    [pytest.param(setting, bad, id=f"{setting}-{kind}") for setting, bads in _SETTINGS.items() for kind, bad in bads.items()],
)
def test_a_bad_setting_is_refused_by_name_and_no_store_is_created(tmp_path: Path, setting: str, bad: Any) -> None:
    with pytest.raises(BadArgument) as refusal:
        Client(tmp_path / "store", **{setting: bad})
    assert refusal.value.details["argument"] == setting
    assert refusal.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_negative_limit_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"limits\.depth"):
        Client(tmp_path / "store", limits=Limits(depth=-1))


@pytest.mark.parametrize("path", ["", 5, b"/tmp", "a\0b", "\ud800", "~nobody-there/x", __file__], ids=ascii)
def test_a_store_needs_a_folder(path: Any) -> None:
    with pytest.raises(BadArgument) as refusal:
        Client(path)
    assert refusal.value.details["argument"] == "path"


def test_the_variable_is_checked_like_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHLITE_STORE", __file__)
    with pytest.raises(BadArgument, match="is a file"):
        Client()


@pytest.mark.parametrize("path", ["/proc/no/store", "/dev/null/store"])
def test_a_folder_that_cannot_be_created_is_a_device_failure(path: str) -> None:
    with pytest.raises(DeviceFailed, match="cannot be created"):
        Client(path)
