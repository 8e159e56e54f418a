"""Every public method, in a process that may open no more files: it works, or raises one of orchlite's errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import orchlite
from orchlite.client.client import TemporaryClient
from orchlite.client.connection import Connection
from orchlite.client.event import Event
from orchlite.client.workspace import Workspace

_STEP = "def process_data(columns):\n    return columns\n"
_LEFT_OUT = {
    "Client.run_forever": "has no end",
    "Client.task_args": "is for the programs of runs",
    "Client.close": "ends every other test",
    "Pipeline.parallel_infer": "needs an event loop, which needs files itself",
}


class _Scene(NamedTuple):
    """One handle of each kind."""

    folder: Path
    client: orchlite.Client
    orchestration: orchlite.Orchestration
    task: orchlite.Task
    run: orchlite.TaskRun
    workspace: Workspace
    connection: Connection
    event: Event
    model: orchlite.Model
    version: orchlite.ModelVersion
    pipeline: orchlite.Pipeline
    pipeline_version: orchlite.PipelineVersion


@pytest.fixture
def scene(client: orchlite.Client, folder: Callable[..., Path], tmp_path: Path) -> _Scene:
    (tmp_path / "step.py").write_text(_STEP)
    (tmp_path / "data.json").write_text('[{"x": [1]}]')
    (tmp_path / "scene.toml").write_text('[models.first]\npath = "step.py"\n')
    client.backup(tmp_path / "backup")
    run = client.run(folder("open('made', 'w').close()"))
    task = client.get_task_by_id(run.task())
    version = client.upload_model("model", tmp_path / "step.py", "python")
    pipeline = client.build_pipeline("pipe").add_model_step(version).deploy()
    return _Scene(
        folder=tmp_path,
        client=client,
        orchestration=client.get_orchestration_by_id(task.orchestration()),
        task=task,
        run=run,
        workspace=client.get_current_workspace(),
        connection=client.create_connection("known", "HTTP"),
        event=client.events()[0],
        model=client.list_models()[0],
        version=version,
        pipeline=pipeline,
        pipeline_version=pipeline.versions()[0],
    )


def _new() -> str:
    return f"a{uuid.uuid4().hex}"


_ARGUMENTS: dict[str, Callable[[_Scene], tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "Client.backup": lambda scene: ((scene.folder / _new(),), {}),
    "Client.build_pipeline": lambda scene: ((_new(),), {}),
    "Client.create_connection": lambda scene: ((_new(), "HTTP"), {}),
    "Client.create_workspace": lambda scene: ((_new(),), {}),
    "Client.get_connection": lambda scene: (("known",), {}),
    "Client.get_connection_by_id": lambda scene: ((scene.connection.id(),), {}),
    "Client.get_model": lambda scene: (("model",), {}),
    "Client.get_orchestration": lambda scene: ((scene.orchestration.id(),), {}),
    "Client.get_orchestration_by_id": lambda scene: ((scene.orchestration.id(),), {}),
    "Client.get_pipeline": lambda scene: (("pipe",), {}),
    "Client.get_task": lambda scene: ((scene.task.id(),), {}),
    "Client.get_task_by_id": lambda scene: ((scene.task.id(),), {}),
    "Client.get_task_run": lambda scene: ((scene.run.id(),), {}),
    "Client.get_task_run_by_id": lambda scene: ((scene.run.id(),), {}),
    "Client.get_workspace": lambda scene: (("default",), {}),
    "Client.pipelines_by_name": lambda scene: (("pipe",), {}),
    "Client.prune": lambda scene: ((timedelta(days=1),), {}),
    "Client.restore": lambda scene: ((scene.folder / "backup", scene.folder / _new()), {}),
    "Client.run": lambda scene: ((scene.orchestration,), {"follow": True}),
    "Client.seed": lambda scene: ((scene.folder / "scene.toml",), {}),
    "Client.set_current_workspace": lambda scene: ((scene.workspace,), {}),
    "Client.upload_model": lambda scene: ((_new(), scene.folder / "step.py", "python"), {}),
    "Client.upload_orchestration": lambda scene: ((), {"path": scene.folder / "bundle-0"}),
    "Orchestration.download": lambda scene: ((scene.folder / _new(),), {}),
    "Orchestration.run_continuously": lambda scene: (("always",), {}),
    "Orchestration.run_once": lambda scene: (("once",), {}),
    "Orchestration.run_scheduled": lambda scene: (("nightly", "0 0 * * *"), {}),
    "Pipeline.add_key_split": lambda scene: ((scene.version, "key", {"a": scene.version}), {}),
    "Pipeline.add_model_step": lambda scene: ((scene.version,), {}),
    "Pipeline.add_random_split": lambda scene: (([(1, scene.version), (2, scene.version)],), {}),
    "Pipeline.add_shadow_deploy": lambda scene: ((scene.version, [scene.version]), {}),
    "Pipeline.infer": lambda scene: (({"x": [1]},), {}),
    "Pipeline.infer_from_file": lambda scene: ((scene.folder / "data.json",), {}),
    "Pipeline.remove_step": lambda scene: ((0,), {}),
    "Pipeline.replace_with_model_step": lambda scene: ((0, scene.version), {}),
    "Task.replace": lambda scene: ((scene.orchestration,), {}),
    "TaskRun.compare": lambda scene: ((scene.run,), {}),
    "TaskRun.file": lambda scene: (("made",), {}),
    "Workspace.add_connection": lambda scene: (("known",), {}),
    "Workspace.remove_connection": lambda scene: (("known",), {}),
}
"""The arguments of the methods that need some."""


_NEED_FILES = {
    *("Client.backup", "Client.check", "Client.prune", "Client.restore", "Client.seed", "Client.temporary", "Client.upload_model"),
    *("Client.upload_orchestration", "Orchestration.download", "Pipeline.infer_from_file", "TaskRun.file", "TaskRun.files"),
}
_REFUSED = {"Pipeline.add_shadow_deploy", "Pipeline.add_validations", "Task.pause", "Task.replace", "Task.resume", "Task.run_now"}
"""Calls that are refused in any case: as a second step of a pipeline, and for a task that runs once."""
_LAST = {"delete", "delete_connection", "kill", "undeploy", "clear", "remove_step", "remove_connection"}


def _calls(scene: _Scene) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield every public method of the handles, with its arguments."""
    for handle in scene[1:]:
        for name in dir(type(handle)):
            what = f"{type(handle).__name__}.{name}"
            if not name.startswith("_") and what not in _LEFT_OUT:
                arguments = _ARGUMENTS.get(what)
                given, named = arguments(scene) if arguments else ((), {})
                yield what, partial(_done, getattr(handle, name), given, named)


def _done(method: Callable[..., object], given: tuple[Any, ...], named: dict[str, Any]) -> None:
    returned = method(*given, **named)
    if isinstance(returned, TemporaryClient):
        returned.close()


def _errors(calls: Iterable[tuple[str, Callable[[], object]]]) -> dict[str, Exception]:
    raised = {}
    for what, call in calls:
        try:
            call()
        except Exception as error:
            raised[what] = error
    return raised


@pytest.mark.slow
def test_no_error_of_the_system_gets_out(scene: _Scene, no_descriptors: Callable[[], None]) -> None:
    first = [(what, call) for what, call in _calls(scene) if what.partition(".")[2] not in _LAST]
    assert _errors(first).keys() == _REFUSED  # imports what it needs
    calls = sorted(_calls(scene), key=lambda call: call[0].partition(".")[2] in _LAST)
    no_descriptors()
    raised = _errors(calls)
    assert {what: repr(error) for what, error in raised.items() if not isinstance(error, orchlite.OrchliteError)} == {}
    assert {what for what, error in raised.items() if isinstance(error, orchlite.ResourceExhausted)} >= _NEED_FILES
