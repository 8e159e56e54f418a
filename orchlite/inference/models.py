"""Loaded models: from files to objects that predict, each loaded once a process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from orchlite.core.errors import BadModel
from orchlite.inference import schemas
from orchlite.inference.columns import Columns, Inputs
from orchlite.inference.onnx_model import OnnxModel
from orchlite.inference.python_step import load_step

ONNX = "onnx"
PYTHON = "python"
FRAMEWORKS = (ONNX, PYTHON)
"""The frameworks that run here, as the platform's SDK spells them."""

_KEPT = 32


class LoadedModel(Protocol):
    """What a step of a pipeline runs."""

    name: str
    is_flat: bool
    """Whether an output of several dimensions is returned as one list a row, as the platform does with those of ONNX models."""

    def predict(self, inputs: Inputs) -> tuple[Columns, Columns]:
        """Return the outputs, and what the model was fed: columns of its own types."""


class ModelFile(NamedTuple):
    """Where a model is, and how it was configured."""

    path: Path
    name: str
    sha: str
    """SHA-256 of the file."""
    framework: str
    """One of `FRAMEWORKS`."""
    fields: tuple[str, ...] | None = None
    """`tensor_fields`: names for the inputs of an ONNX model, by position."""
    input_schema: bytes | None = None
    """The schema message of an Arrow IPC stream; None: any columns."""
    output_schema: bytes | None = None


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.models: dict[tuple[Any, ...], LoadedModel] = {}
        os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self.lock = threading.Lock()  # the thread that held it is not in the child


_cache = _Cache()


def load(file: ModelFile) -> LoadedModel:
    """Return the model of a file, loaded at the first call in this process; the least recently loaded of 33 is dropped.

    Raises:
        BadModel: the file is no model, or its framework is not one of `FRAMEWORKS`.
        MissingExtra: a package that loads it is not installed.
    """
    key = file[1:]
    model = _cache.models.get(key)
    if model is None:
        with _cache.lock:
            model = _cache.models.get(key) or _load(file)
            _cache.models[key] = model
            while len(_cache.models) > _KEPT:
                del _cache.models[next(iter(_cache.models))]
    return model


def is_loaded(file: ModelFile) -> bool:
    """Return whether `load` has the model already."""
    return file[1:] in _cache.models


def _load(file: ModelFile) -> LoadedModel:
    if file.framework == ONNX:
        return OnnxModel(file.path, file.name, file.fields)
    if file.framework == PYTHON:
        return load_step(file.path, file.name, input_schema=_schema(file, "input_schema"), output_schema=_schema(file, "output_schema"))
    message = f"Model {file.name!r} is of the framework {file.framework!r}, which orchlite does not run."
    hint = f"It runs {' and '.join(FRAMEWORKS)}: convert the model to ONNX, or stand in for it with a Python step."
    raise BadModel(message, hint=hint, model=file.name, framework=file.framework)


def _schema(file: ModelFile, which: str) -> Any:
    message = getattr(file, which)
    try:
        return None if message is None else schemas.read(message)
    except ValueError as error:
        hint = "Upload it again with schemas that pyarrow has serialized."
        raise BadModel(f"The {which} of model {file.name!r} is no schema of Arrow.", hint=hint, model=file.name) from error
