"""Gives a store what a scene says, and leaves alone what it has already."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from orchlite.core import pipeline_steps
from orchlite.core.errors import NotFound
from orchlite.core.model_records import ModelVersionRow
from orchlite.core.pipeline_steps import Step
from orchlite.core.records import ConnectionRow
from orchlite.core.tables import table_html
from orchlite.inference.schemas import are_equal
from orchlite.operations import deployments
from orchlite.operations.context import Context
from orchlite.operations.model_upload import ModelUpload, receive
from orchlite.operations.scenes import Scene, SceneConnection, SceneModel, ScenePipeline, SceneStep, read


class SeedChange(NamedTuple):
    """Something that seeding has changed in a store."""

    kind: str
    """`workspace`, `connection`, `model` or `pipeline`."""
    name: str
    workspace: str | None
    """The name of the model's or the pipeline's."""
    what: str
    """In words."""
    version: str | None
    """The new version of a model or a pipeline, a UUID."""

    def __str__(self) -> str:
        place = "" if self.workspace is None else f" in {self.workspace}"
        return f"{self.kind} {self.name}{place}: {self.what}" + ("" if self.version is None else f", version {self.version}")

    @staticmethod
    def _columns() -> Sequence[str]:
        return SeedChange._fields

    def _cells(self) -> Sequence[object]:
        return self

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self])


def seed(context: Context, path: Path, workspace: str) -> Iterator[SeedChange]:
    """Check the scene in a TOML file; then make each change that the store needs, and yield it.

    workspace: the name of the one that gets what the scene has outside of its `workspaces`.

    Raises:
        BadArgument: the file cannot be read. Nothing was stored.
        BadScene: the scene is refused. Nothing was stored.
        MissingExtra: a model has a schema, and pyarrow is not installed. Nothing was stored.
        BadModel: the file of a model was changed meanwhile, and is no model now.
        Conflict, NotFound: what it is about was deleted or created meanwhile.
        StorageFull, StoreBusy, StoreDamaged, DeviceFailed, Closed: the store accepts no writes.
        OSError: a file cannot be written to the store's folder.
    """
    scene = read(context, path, workspace)
    yield from _workspaces(context, scene)
    for connection in scene.connections:
        yield from _connection(context, connection)
    for part in scene.workspaces:
        workspace_id = _workspace_id(context, part.name)
        for model in part.models:
            yield from _model(context, workspace_id, part.name, model)
        for pipeline in part.pipelines:
            yield from _pipeline(context, workspace_id, part.name, pipeline)


def _workspaces(context: Context, scene: Scene) -> Iterator[SeedChange]:
    for part in scene.workspaces:
        if context.store.workspaces.find(part.name) is None:
            context.store.workspaces.find_or_create(part.name, context.clock.now())
            yield SeedChange("workspace", part.name, None, "created", None)


def _workspace_id(context: Context, name: str) -> int:
    return context.store.workspaces.find_or_create(name, context.clock.now()).workspace_id


def _connection(context: Context, wanted: SceneConnection) -> Iterator[SeedChange]:
    known = _find_connection(context, wanted.name)
    listed = [] if known is None else context.store.connections.workspace_names(known.connection_id)
    done = []
    if known is None or not _is_equal(known, wanted):
        done.append("created" if known is None else "replaced, because it has changed")
        new = ConnectionRow(str(uuid.uuid4()), wanted.name, wanted.connection_type, wanted.details, context.clock.now())
        known = context.store.connections.put(new)
    missing = [name for name in wanted.workspaces if name not in listed]
    for name in missing:
        context.store.connections.add_to_workspace(known.connection_id, _workspace_id(context, name))
    if missing:
        done.append(f"listed in {', '.join(missing)}")
    if done:
        yield SeedChange("connection", wanted.name, None, ", ".join(done), None)


def _is_equal(known: ConnectionRow, wanted: SceneConnection) -> bool:
    return known.connection_type == wanted.connection_type and json.loads(known.details) == json.loads(wanted.details)


def _find_connection(context: Context, name: str) -> ConnectionRow | None:
    try:
        return context.store.connections.named(name)
    except NotFound:
        return None


def _model(context: Context, workspace_id: int, workspace: str, wanted: SceneModel) -> Iterator[SeedChange]:
    known = _newest(context, workspace_id, wanted.name)
    reason = "uploaded" if known is None else _difference(known, wanted)
    if reason is not None:
        config = {} if wanted.tensor_fields is None else {"tensor_fields": wanted.tensor_fields}
        upload = ModelUpload(
            wanted.source,
            workspace_id,
            wanted.name,
            wanted.source.name,
            wanted.framework,
            input_schema=wanted.input_schema,
            output_schema=wanted.output_schema,
            config=config,
        )
        yield SeedChange("model", wanted.name, workspace, reason, receive(context, upload).version)


def _difference(known: ModelVersionRow, wanted: SceneModel) -> str | None:
    if known.sha != wanted.sha:
        return "the file has changed"
    if known.framework != wanted.framework:
        return "the framework has changed"
    if not all(map(are_equal, (known.input_schema, known.output_schema), (wanted.input_schema, wanted.output_schema))):
        return "the schemas have changed"
    return None if known.config.get("tensor_fields") == wanted.tensor_fields else "the tensor fields have changed"


def _pipeline(context: Context, workspace_id: int, workspace: str, wanted: ScenePipeline) -> Iterator[SeedChange]:
    steps = [step for each in wanted.steps for step in _steps(context, workspace_id, each)]
    known = context.store.pipelines.find(workspace_id, wanted.name)
    newest = None if known is None else context.store.pipelines.newest_version(known.pipeline_id)
    done = []
    if newest is None or newest.definition.get("steps") != steps:
        done.append("created" if known is None else "the steps have changed")
        newest = deployments.build(context, workspace_id, wanted.name, {"id": wanted.name, "steps": steps})
    if wanted.is_deployed and _deployed_steps(context, newest.pipeline_id) != steps:
        deployments.deploy_version(context, newest.pipeline_version_id)
        done.append("deployed")
    elif not wanted.is_deployed and deployments.undeploy(context, newest.pipeline_id):
        done.append("undeployed")
    if done:
        yield SeedChange("pipeline", wanted.name, workspace, ", ".join(done), None if done == ["undeployed"] else newest.version)


def _deployed_steps(context: Context, pipeline_id: int) -> Sequence[Step] | None:
    version_id = context.store.deployments.deployed_version(pipeline_id)
    if version_id is None:
        return None
    steps: Sequence[Step] = context.store.pipelines.version(version_id).definition.get("steps", [])
    return steps


def _steps(context: Context, workspace_id: int, step: SceneStep) -> list[Step]:
    versions = [_required(context, workspace_id, name) for name in step.models]
    if step.weights:
        return [pipeline_steps.split_step(zip(step.weights, versions, strict=True), step.hash_key)]
    return [pipeline_steps.model_step(*versions)] if len(versions) == 1 else pipeline_steps.shadow_steps(versions[0], versions[1:])


def _required(context: Context, workspace_id: int, name: str) -> ModelVersionRow:
    found = _newest(context, workspace_id, name)
    if found is None:
        raise NotFound(f"The model {name!r} was deleted meanwhile.", hint="Seed the store again.", name=name)
    return found


def _newest(context: Context, workspace_id: int, name: str) -> ModelVersionRow | None:
    model = context.store.models.find(workspace_id, name)
    return None if model is None else context.store.models.newest_version(model.model_id)
