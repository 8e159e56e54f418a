"""Pipelines of models in a temporary folder, without a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from orchlite.inference import arrow, engine, frames
from orchlite.inference.columns import Inputs
from orchlite.inference.definition import ModelName, models_of, steps_of
from orchlite.inference.models import PYTHON, LoadedModel, ModelFile, load
from orchlite.inference.results import InferenceResult

Run = Callable[..., InferenceResult]

_IMPORTS = "import numpy as np\nfrom mac.types import InferenceData\n\n\n"


def model(name: str) -> dict[str, str]:
    return {"name": name, "version": f"version of {name}", "sha": f"sha of {name}"}


def step(*names: str) -> dict[str, Any]:
    """The step of one model, or of a champion and its challengers."""
    return {"ModelInference": {"models": [model(name) for name in names]}}


def serialized(name: str, expression: Any) -> str:
    """An expression of polars as a pipeline's definition has it."""
    text: str = expression.alias(name).meta.serialize(format="json")
    return text


def inputs_of(data: Any) -> Inputs:
    match data:
        case pd.DataFrame():
            return frames.from_frame(data)
        case pa.Table():
            return arrow.from_table(data)
        case _:
            return frames.from_json(data)


@pytest.fixture
def python_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a Python step with this body of `process_data(input_data)`."""

    def write(body: str) -> Path:
        path = tmp_path / f"step{len(list(tmp_path.iterdir()))}.py"
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        path.write_text(f"{_IMPORTS}def process_data(input_data: InferenceData) -> InferenceData:\n{lines}\n")
        return path

    return write


@pytest.fixture
def run() -> Run:
    """Run data through steps: names of models, or steps of a definition. `models` has their files, or what stands in for one."""

    def run(
        data: Any, *steps: str | dict[str, Any], models: Mapping[str, Any], fields: tuple[str, ...] | None = None, **more: Any
    ) -> InferenceResult:
        def loaded(name: ModelName) -> LoadedModel:
            known = models[name.name]
            if not isinstance(known, Path):
                return known  # type: ignore[no-any-return]
            framework = PYTHON if known.suffix in (".py", ".zip") else "onnx"
            file = ModelFile(known, name.name, str(known), framework, fields=fields)
            return load(file)

        definition = {"id": "pipe", "steps": [step(each) if isinstance(each, str) else each for each in steps]}
        known = steps_of(definition)
        return engine.run(
            known, inputs_of(data), {name: loaded(name) for name in models_of(known)}, at_ms=time.time_ns() // 1_000_000, **more
        )

    return run
