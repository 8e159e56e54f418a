"""A real store in a temporary folder, and fixtures that insert what a test needs with one call."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchlite.core.model_records import ModelVersionRow, PipelineRow
from orchlite.core.records import Claim, OrchestrationRow, RunResult, TaskRow
from orchlite.core.status import OrchestrationStatus, RunStatus, TaskKind, TaskStatus
from orchlite.store.database import Database
from orchlite.store.store import Store
from tests.rows import orchestration_row, task_row

_NOW = datetime(2024, 4, 17, 16, 3, 19, 756251, UTC)


@pytest.fixture
def now() -> datetime:
    return _NOW


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[Store]:
    """A new store with one workspace, whose id is 1."""
    shutil.copy(empty_database, tmp_path / "store.sqlite")
    store = Store(tmp_path / "store.sqlite")
    store.workspaces.create("default", _NOW)
    yield store
    store.close()


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Iterator[Database]:
    """Another connection to the file of `store`."""
    database = Database(tmp_path / "store.sqlite")
    yield database
    database.close()


@pytest.fixture
def add_orchestration(store: Store) -> Callable[..., OrchestrationRow]:
    """Insert an orchestration: `ready` by default; optionally with a status, a `sha` and a `workspace_id`."""

    def add(
        status: OrchestrationStatus = OrchestrationStatus.READY, *, sha: str = "0" * 64, workspace_id: int = 1, base_image: str = "host"
    ) -> OrchestrationRow:
        row = orchestration_row(_NOW, status=status, sha=sha, workspace_id=workspace_id, base_image=base_image)
        with store.transaction() as transaction:
            store.orchestrations.insert(transaction, row)
        return row

    return add


@pytest.fixture
def add_task(store: Store, add_orchestration: Callable[..., OrchestrationRow]) -> Callable[..., TaskRow]:
    """Insert a task: by default one-shot, `pending`, and of an orchestration of its own."""

    def add(
        status: TaskStatus = TaskStatus.PENDING, *, kind: TaskKind = TaskKind.ONCE, orchestration: OrchestrationRow | None = None
    ) -> TaskRow:
        task = task_row(orchestration or add_orchestration(), kind, status=status)
        with store.transaction() as transaction:
            store.tasks.insert(transaction, task)
        return task

    return add


@pytest.fixture
def add_run(store: Store, add_task: Callable[..., TaskRow]) -> Callable[..., str]:
    """Insert a run, take it to a status, and return its id; optionally with `task` and `host`, its submitter."""

    def add(status: RunStatus = RunStatus.QUEUED, *, task: TaskRow | None = None, host: str = "host") -> str:
        run_id = str(uuid.uuid4())
        task_id = (task or add_task()).task_id
        with store.transaction() as transaction:
            store.runs.insert(transaction, run_id, task_id, host, _NOW)
            if status not in (RunStatus.QUEUED, RunStatus.SKIPPED):
                store.runs.claim(transaction, run_id, Claim(host, "boot", _NOW))
            if status.is_final:
                store.runs.end(transaction, run_id, RunResult(status, 0, _NOW, _NOW, 0.0))
        return run_id

    return add


@pytest.fixture
def add_model_version(store: Store) -> Callable[..., ModelVersionRow]:
    """Insert a version of the model of this name; optionally with a `workspace_id`, a `sha` and other fields."""

    def add(name: str, *, workspace_id: int = 1, sha: str = "0" * 64, **fields: Any) -> ModelVersionRow:
        with store.transaction() as transaction:
            model = store.models.find_or_create(transaction, workspace_id, name, _NOW)
            version = ModelVersionRow(
                model_version_id=0,
                model_id=model.model_id,
                workspace_id=workspace_id,
                name=name,
                version=str(uuid.uuid4()),
                sha=sha,
                size_bytes=5,
                file_name="model.onnx",
                framework="onnx",
                input_schema=None,
                output_schema=None,
                config={},
                arch=None,
                accel=None,
                status="ready",
                created_at=_NOW,
                updated_at=_NOW,
            )
            return store.models.add_version(transaction, version._replace(**fields))

    return add


@pytest.fixture
def add_pipeline(store: Store) -> Callable[..., PipelineRow]:
    """Insert a pipeline of this name, or find it; optionally with a `workspace_id`."""

    def add(name: str, *, workspace_id: int = 1) -> PipelineRow:
        with store.transaction() as transaction:
            return store.pipelines.find_or_create(transaction, workspace_id, name, _NOW)

    return add
