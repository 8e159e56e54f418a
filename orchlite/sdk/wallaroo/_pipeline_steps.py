"""The steps of a pipeline's handle, and the calls that change them. Nothing is stored before `deploy()` or `create_version()`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Self

from orchlite.client.model import ModelVersion
from orchlite.client.step_arguments import serialized
from orchlite.core.model_records import ModelVersionRow
from orchlite.core.pipeline_steps import Step, key_split_step, model_step, shadow_steps, split_step, validations_step

from . import _checks
from ._pipeline_config import Steps


class StepEditing:
    """Changes the steps in hand; each call returns the pipeline. Models may be named `model` instead, as before 2023.4.

    Calls with an index raise IndexError if there is no such step.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def steps(self) -> Steps:
        """The steps in hand; none after the pipeline was fetched or built."""
        return Steps.of({"steps": self._steps})

    def definition(self) -> str:
        """The steps in hand, as text."""
        return str(self._steps)

    def clear(self) -> Self:
        """Remove all steps."""
        self._steps.clear()
        return self

    def remove_step(self, index: int) -> Self:
        """Remove a step."""
        del self._steps[index]
        return self

    def add_model_step(self, model_version: Any = None, *, model: Any = None) -> Self:
        """Run a model."""
        return self._add(model_step(_row_of(model_version, model)))

    def replace_with_model_step(self, index: int, model_version: Any = None, *, model: Any = None) -> Self:
        """Run a model instead of a step."""
        return self._replace(index, model_step(_row_of(model_version, model)))

    def add_shadow_deploy(self, champion: Any, challengers: Iterable[Any]) -> Self:
        """Run the challengers beside the champion, whose outputs are those of the step. It becomes three steps, as in the SDK."""
        return self._add(*_shadow(champion, challengers))

    def replace_with_shadow_deploy(self, index: int, champion: Any, challengers: Iterable[Any]) -> Self:
        """Run a shadow deployment instead of a step."""
        first, *others = _shadow(champion, challengers)
        self._replace(index, first)
        self._steps[index + 1 : index + 1] = others
        return self

    def add_random_split(self, weighted: Iterable[tuple[float, Any]], hash_key: str | None = None) -> Self:
        """Run one of several models, chosen at random by their weights for each inference.

        hash_key: a column whose value in the first row, from 0 to 1, takes the place of the random number.
        """
        return self._add(_split(weighted, hash_key))

    def replace_with_random_split(self, index: int, weighted: Iterable[tuple[float, Any]], hash_key: str | None = None) -> Self:
        """Run a random split instead of a step."""
        return self._replace(index, _split(weighted, hash_key))

    def add_key_split(self, default: Any, meta_key: str, options: Mapping[str, Any]) -> Self:
        """Run the model that `options` has for the value in the column `meta_key` of the data, else the default."""
        return self._add(_key_split(default, meta_key, options))

    def replace_with_key_split(self, index: int, default: Any, meta_key: str, options: Mapping[str, Any]) -> Self:
        """Run a key split instead of a step."""
        return self._replace(index, _key_split(default, meta_key, options))

    def add_validations(self, **validations: Any) -> Self:
        """Evaluate expressions of polars on every row; `anomaly.NAME` tells for which rows one is true."""
        if validations.pop("count", None) is not None:
            warnings.warn("'count' is not a valid name for a validation", stacklevel=2)
        return self._add(validations_step([serialized(*each) for each in validations.items()]))

    def add_validation(self, name: str, validation: Any) -> Self:
        """Evaluate one expression: the SDK's call until 2023.4.

        One of polars marks the rows for which it is true, as `add_validations` does; one like `model.outputs[0][0] < 0.9` the others.
        """
        if isinstance(validation, _checks.Expression):
            return self._add(validations_step([_checks.serialized(name, validation)]))
        return self.add_validations(**{name: validation})

    def _add(self, *steps: Step) -> Self:
        self._steps += steps
        return self

    def _replace(self, index: int, step: Step) -> Self:
        self._steps[index] = step
        return self


def _shadow(champion: Any, challengers: Iterable[Any]) -> list[Step]:
    return shadow_steps(_row_of(champion), map(_row_of, challengers))


def _split(weighted: Iterable[tuple[float, Any]], hash_key: str | None) -> Step:
    return split_step([(weight, _row_of(model)) for weight, model in weighted], hash_key)


def _key_split(default: Any, meta_key: str, options: Mapping[str, Any]) -> Step:
    return key_split_step(_row_of(default), meta_key, {value: _row_of(model) for value, model in options.items()})


def _row_of(model_version: Any, model: Any = None) -> ModelVersionRow:
    given = model if model_version is None else model_version
    if given is None:
        raise TypeError("missing 1 required positional argument: 'model_version'")
    if not isinstance(given, ModelVersion):
        raise TypeError(f"model_version is of type {type(given)}, but a ModelVersion is required")
    return given._known
