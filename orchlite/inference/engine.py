"""Running the steps of a pipeline on columns."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from typing import Any

from orchlite.core.errors import BadData, InferenceFailed
from orchlite.inference import libraries as lib
from orchlite.inference.arrow import to_array
from orchlite.inference.columns import Columns, Inputs
from orchlite.inference.definition import KeySplit, ModelName, RunModels, Split, Step, Validate
from orchlite.inference.models import LoadedModel
from orchlite.inference.results import InferenceResult
from orchlite.inference.validations import evaluate

Models = Mapping[ModelName, LoadedModel]
_SPLIT = "_model_split"


def run(steps: tuple[Step, ...], inputs: Inputs, models: Models, *, at_ms: int, pipeline_version: str = "") -> InferenceResult:
    """Run the steps one after the other; each model gets the outputs of the one before by name. Safe for several threads.

    From JSON, a Python step may make one row of all, as models that forecast do. Otherwise there are as many rows out as in.

    at_ms: when this is: milliseconds since 1970.

    Raises:
        BadData: the data does not fit a model.
        InferenceFailed: there are no steps, a model failed, or an output has not one entry a row.
        MissingExtra: a package is not installed.
    """
    if not any(isinstance(step, RunModels | Split | KeySplit) for step in steps):
        raise InferenceFailed("The pipeline has no model.", hint="Add a model step, and deploy it.")
    return _Run(inputs, models).result(steps, at_ms, pipeline_version)


class _Run:
    def __init__(self, inputs: Inputs, models: Models) -> None:
        self._inputs = inputs
        self._models = models
        self._current = inputs
        self._fed: Columns | None = None
        self._beside: Columns = {}
        """Outputs that no later step sees: those of challengers."""
        self._split: str | None = None
        self._anomalies: Columns = {}
        self._tensors: dict[tuple[str, str], tuple[str, ...]] = {}
        self._last: tuple[ModelName, LoadedModel] | None = None

    def result(self, steps: tuple[Step, ...], at_ms: int, pipeline_version: str) -> InferenceResult:
        begin = time.perf_counter_ns()
        for step in steps:
            if not isinstance(step, Validate):
                self._tensors = {key: columns for key, columns in self._tensors.items() if key[1] == "input"}
            match step:
                case RunModels(champion, challengers):
                    self._run_models(champion, challengers)
                case Split():
                    self._run_split(_chosen(step, self._current))
                case KeySplit():
                    self._run_split(_routed(step, self._inputs))
                case Validate(expressions):
                    self._anomalies |= evaluate(expressions, self._table(), self._tensors)
        assert self._last is not None
        model = json.dumps({"model_name": self._last[0].name, "model_sha": self._last[0].sha}, separators=(",", ":"))
        metadata = {
            "last_model": model,
            "pipeline_version": pipeline_version,
            "elapsed": [0, time.perf_counter_ns() - begin],
            "dropped": [],
            "partition": "orchlite",
        }
        return InferenceResult(at_ms, self._inputs, self._fed or {}, self._outputs(), self._current.row_count, self._anomalies, metadata)

    def _run_models(self, champion: ModelName, challengers: tuple[ModelName, ...]) -> None:
        before = self._current
        for challenger in sorted(challengers):
            model = self._models[challenger]
            outputs, _ = model.predict(before)
            beside = {f"out_{challenger.name}.{name}": _shown(column, model) for name, column in outputs.items()}
            self._beside |= beside
            self._tensors[challenger.name, "output"] = tuple(beside)
        self._run_model(champion)

    def _run_split(self, model: ModelName) -> None:
        self._run_model(model)
        self._split = json.dumps(model._asdict(), separators=(",", ":"))

    def _run_model(self, name: ModelName) -> None:
        model = self._models[name]
        outputs, fed = model.predict(self._current)
        if self._fed is None:
            self._fed = fed
            self._tensors[name.name, "input"] = tuple(f"in.{field}" for field in fed)
        self._tensors[name.name, "output"] = tuple(f"out.{output}" for output in outputs)
        self._current = Inputs(outputs, self._row_count(outputs, name), {}, self._inputs.form, {})
        self._last = name, model

    def _row_count(self, outputs: Columns, name: ModelName) -> int:
        lengths = {len(column) for column in outputs.values()}
        wanted = self._current.row_count
        if lengths == {wanted} or (self._inputs.form == "json" and lengths == {1}):
            return lengths.pop()
        shown = ", ".join(f"{output!r}: {len(column)}" for output, column in outputs.items())
        message = f"Model {name.name!r} returned {shown} rows for {wanted}."
        raise InferenceFailed(message, hint="Return one entry a row in each output.", model=name.name)

    def _outputs(self) -> Columns:
        assert self._last is not None
        found = {f"out.{name}": _shown(column, self._last[1]) for name, column in self._current.columns.items()}
        if self._split is not None:
            found[f"out.{_SPLIT}"] = lib.np.full((self._current.row_count, 1), self._split, dtype=object)
        return found | self._beside

    def _table(self) -> Any:
        echoed = {f"in.{name}": column for name, column in (self._inputs.echo or self._inputs.columns).items()}
        columns = (echoed if self._current.row_count == self._inputs.row_count else {}) | (self._outputs() if self._last else {})
        arrays = {name: to_array(column, name) if isinstance(column, lib.np.ndarray) else column for name, column in columns.items()}
        return lib.pa.table(arrays)


def _shown(column: Any, model: LoadedModel) -> Any:
    return column.reshape(len(column), -1) if model.is_flat and column.ndim > 2 else column


def _chosen(split: Split, inputs: Inputs) -> ModelName:
    total = sum(weight for weight, _ in split.weights)
    left = _point(split, inputs) * total
    for weight, model in split.weights:
        left -= weight
        if left < 0:
            return model
    return split.weights[-1][1]


def _point(split: Split, inputs: Inputs) -> float:
    column = inputs.columns.get(split.key) if split.key is not None else None
    if column is None:
        return random.random()  # noqa: S311 - no secret depends on it
    first = column.flat[0] if column.size else None
    if first is None or column.dtype.kind not in "iuf" or not 0 <= first <= 1:
        message = f"Column {split.key!r}, which chooses the model of the split, has {first!r} in its first row."
        raise BadData(message, hint="Give a number from 0 to 1.", column=split.key)
    return float(first)


def _routed(split: KeySplit, inputs: Inputs) -> ModelName:
    column = inputs.columns.get(split.key)
    values = [] if column is None else list(dict.fromkeys(map(str, column.reshape(-1).tolist())))
    if len(values) > 1:
        message = f"Column {split.key!r}, which chooses the model of the split, has several values: {', '.join(map(repr, values)):.200}."
        raise BadData(message, hint="Infer with the rows of each value on their own.", column=split.key)
    return dict(split.routes).get(values[0], split.control) if values else split.control
