"""Reads a scene: which workspaces, models, pipelines and connections a store should have. Checks all of it, and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orchlite.core.arguments import checked_label, checked_path, checked_workspace_name, encoded_details
from orchlite.core.model_arguments import checked_fields, checked_model_name, checked_pipeline_name
from orchlite.inference import schemas
from orchlite.inference.models import ONNX, PYTHON
from orchlite.operations.context import Context
from orchlite.operations.model_upload import check_framework, checked_source
from orchlite.operations.scene_file import Key, SceneFile

_PYTHON_SUFFIXES = (".py", ".zip")
_SCHEMAS = ("input_schema", "output_schema")
_SCOPE_KEYS = ("models", "pipelines")


class SceneModel(NamedTuple):
    """A model that a workspace should have."""

    name: str
    source: Path
    sha: str
    framework: str
    tensor_fields: list[str] | None
    input_schema: bytes | None = None
    """As `pyarrow.Schema.serialize` returns it."""
    output_schema: bytes | None = None


class SceneStep(NamedTuple):
    """A step of a pipeline. The models are named, because their versions are known only when they are stored."""

    models: tuple[str, ...]
    """Several: a champion and its challengers, or with weights those of a split."""
    weights: tuple[float, ...] = ()
    hash_key: str | None = None


class ScenePipeline(NamedTuple):
    """A pipeline that a workspace should have."""

    name: str
    steps: tuple[SceneStep, ...]
    is_deployed: bool


class SceneWorkspace(NamedTuple):
    """A workspace, and what should be in it."""

    name: str
    models: tuple[SceneModel, ...]
    pipelines: tuple[ScenePipeline, ...]


class SceneConnection(NamedTuple):
    """A connection that the store should have."""

    name: str
    connection_type: str
    details: str
    """JSON of one object."""
    workspaces: tuple[str, ...]
    """The names of those that should list it."""


class Scene(NamedTuple):
    """What a store should have."""

    workspaces: tuple[SceneWorkspace, ...]
    """May have one name twice: the current workspace's."""
    connections: tuple[SceneConnection, ...]


def read(context: Context, path: Path, workspace: str) -> Scene:
    """Return the scene in a TOML file. What it has outside of its `workspaces` is for the workspace of this name.

    Raises:
        BadArgument: the file cannot be read.
        BadScene: it is not TOML; a key is not known, is missing or has a value that is refused; or a model's file is refused.
        MissingExtra: a model has a schema, and pyarrow is not installed.
    """
    return _Reader(context, SceneFile(path), workspace).scene()


class _Reader:
    def __init__(self, context: Context, file: SceneFile, workspace: str) -> None:
        self._context = context
        self._file = file
        self._current = workspace

    def scene(self) -> Scene:
        content = self._table((), "workspaces", "connections", *_SCOPE_KEYS)
        named = self._tables(content, ("workspaces",))
        workspaces = [self._workspace((), self._current), *(self._workspace(key, name) for key, name in named)]
        self._check_twice(workspaces)
        known = {one.name for one in workspaces}
        return Scene(tuple(workspaces), tuple(self._connection(key, name, known) for key, name in self._tables(content, ("connections",))))

    def _check_twice(self, workspaces: list[SceneWorkspace]) -> None:
        first, *others = workspaces
        for kind in _SCOPE_KEYS:
            names = {one.name for one in getattr(first, kind)}
            for other in (one for one in others if one.name == first.name):
                for thing in (one for one in getattr(other, kind) if one.name in names):
                    key = ("workspaces", other.name, kind, thing.name)
                    raise self._file.bad(key, f"The workspace {other.name!r} has it twice.", f"{kind}.{thing.name} is for it, too.")

    def _workspace(self, key: Key, name: str) -> SceneWorkspace:
        if key:
            with self._file.checking(*key):
                checked_workspace_name(name, underscores=True)
        content = self._table(key, *_SCOPE_KEYS) if key else self._file.content
        models = [self._model(*each) for each in self._tables(content, (*key, "models"))]
        row = self._context.store.workspaces.find(name)
        stored = [] if row is None else [model.name for model in self._context.store.models.of_workspace(row.workspace_id)]
        known = {*stored, *(model.name for model in models)}
        pipelines = [self._pipeline(*each, known) for each in self._tables(content, (*key, "pipelines"))]
        return SceneWorkspace(name, tuple(models), tuple(pipelines))

    def _model(self, key: Key, name: str) -> SceneModel:
        content = self._table(key, "path", "framework", "tensor_fields", *_SCHEMAS)
        with self._file.checking(*key):
            checked_model_name(name)
        with self._file.checking(*key, "path"):
            source = checked_path(self._file.path.parent / self._text(key, content, "path"))
        usual = PYTHON if source.suffix.lower() in _PYTHON_SUFFIXES else ONNX
        framework = self._text(key, content, "framework") if "framework" in content else usual
        with self._file.checking(*key, "framework"):
            check_framework(framework)
        with self._file.checking(*key, "tensor_fields"):
            fields = checked_fields(content.get("tensor_fields"), "tensor_fields")
        with self._file.checking(*key, "path"):
            sha = checked_source(self._context, source, name, framework)
        return SceneModel(name, source, sha, framework, fields, *(self._schema((*key, each), content.get(each)) for each in _SCHEMAS))

    def _schema(self, key: Key, types: Any) -> bytes | None:
        with self._file.checking(*key):
            return None if types is None else schemas.serialized(types, str(key[-1]))

    def _pipeline(self, key: Key, name: str, known: set[str]) -> ScenePipeline:
        content = self._table(key, "steps", "deployed")
        with self._file.checking(*key):
            checked_pipeline_name(name)
        steps, is_deployed = content.get("steps"), content.get("deployed", True)
        if not isinstance(steps, list) or not steps:
            place = (*key, "steps") if "steps" in content else key
            raise self._file.bad(place, "steps must be an array, and not empty.", 'A step is the name of a model: steps = ["prices"].')
        if not isinstance(is_deployed, bool):
            raise self._file.bad((*key, "deployed"), f"It is {is_deployed!r:.80}.", "It takes true or false.")
        return ScenePipeline(name, tuple(self._step((*key, "steps", place), step, known) for place, step in enumerate(steps)), is_deployed)

    def _step(self, key: Key, step: Any, known: set[str]) -> SceneStep:
        if isinstance(step, str):
            return SceneStep((self._known_model(key, step, known),))
        if not isinstance(step, dict) or not {"champion", "split"} & set(step):
            hint = 'It takes the name of a model, { champion = "a", challengers = ["b"] } or { split = { a = 2, b = 1 } }.'
            raise self._file.bad(key, "It is not a step.", hint)
        return self._shadow(key, known) if "champion" in step else self._split(key, known)

    def _shadow(self, key: Key, known: set[str]) -> SceneStep:
        content = self._table(key, "champion", "challengers")
        names = [self._text(key, content, "champion"), *self._texts(key, content, "challengers")]
        if len(set(names)) < len(names):
            hint = "Their outputs are told apart by the models' names."
            raise self._file.bad(key, f"Two of the models have one name: {', '.join(names):.200}.", hint)
        return SceneStep(tuple(self._known_model(key, name, known) for name in names))

    def _split(self, key: Key, known: set[str]) -> SceneStep:
        content = self._table(key, "split", "hash_key")
        weights = self._table((*key, "split"))
        for name, weight in weights.items():
            self._known_model((*key, "split", name), name, known)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise self._file.bad((*key, "split", name), f"The weight is {weight!r:.80}.", "It takes positive numbers.")
        if not weights:
            raise self._file.bad((*key, "split"), "It is empty.", "It takes weights by the names of models: { a = 2, b = 1 }.")
        hash_key = self._text(key, content, "hash_key") if "hash_key" in content else None
        return SceneStep(tuple(weights), tuple(map(float, weights.values())), hash_key)

    def _known_model(self, key: Key, name: str, known: set[str]) -> str:
        if name not in known:
            hint = f"Its workspace has {', '.join(sorted(known)) or 'none'}." if len(known) <= 20 else "Add it to the scene."
            raise self._file.bad(key, f"There is no model {name!r:.80}.", hint)
        return name

    def _connection(self, key: Key, name: str, known: set[str]) -> SceneConnection:
        content = self._table(key, "type", "details", "workspaces")
        with self._file.checking(*key):
            checked_label(name, "name")
        with self._file.checking(*key, "details"):
            details = encoded_details(content.get("details"), self._context.settings.limits.details_bytes)
        with self._file.checking(*key, "type"):
            connection_type = checked_label(self._text(key, content, "type"), "type")
        names = self._texts(key, content, "workspaces") if "workspaces" in content else [self._current]
        for workspace in names:
            if workspace not in known and self._context.store.workspaces.find(workspace) is None:
                hint = f"[workspaces.{workspace}] creates it."
                raise self._file.bad((*key, "workspaces"), f"There is no workspace {workspace!r:.80}.", hint)
        return SceneConnection(name, connection_type, details, tuple(names))

    def _tables(self, content: Mapping[str, Any], key: Key) -> Iterator[tuple[Key, str]]:
        """Yield the key and the name of each table in the one at `key`, whose parent is `content`."""
        if key[-1] in content:
            yield from (((*key, name), name) for name in self._table(key))

    def _table(self, key: Key, *allowed: str) -> dict[str, Any]:
        """Return the table at `key`. If there are allowed keys, refuse others."""
        found: Any = self._file.content
        for part in key:
            found = found[part]
        if not isinstance(found, dict):
            raise self._file.bad(key, "It is not a table.", "Write a table: { key = value }.")
        unknown = next((name for name in found if allowed and name not in allowed), None)
        if unknown is not None:
            raise self._file.bad((*key, unknown), "This key is not known.", f"Known are {', '.join(sorted(allowed)):.200}.")
        return found

    def _text(self, key: Key, content: Mapping[str, Any], name: str) -> str:
        if name not in content:
            raise self._file.bad(key, f"{name} is missing.", "It takes a text.")
        if not isinstance(content[name], str):
            raise self._file.bad((*key, name), f"It is {content[name]!r:.80}.", "It takes a text.")
        return str(content[name])

    def _texts(self, key: Key, content: Mapping[str, Any], name: str) -> list[str]:
        found = content.get(name)
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self._file.bad((*key, name) if name in content else key, f"{name} is {found!r:.80}.", "It takes an array of texts.")
        return list(found)
