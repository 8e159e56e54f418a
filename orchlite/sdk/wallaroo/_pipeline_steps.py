"""The steps of a pipeline's handle, and the calls that change them. Nothing is stored before `deploy()` or `create_version()`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Self

from orchlite.inference.validations import serialized

from ._pipeline_config import ModelForStep, Steps


class StepEditing:
    """Changes the steps in hand; each call returns the pipeline. Models may be named `model` instead, as before 2023.4.

    Calls with an index raise IndexError if there is no such step.
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []

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
        return self._add(_inference([_given(model_version, model)]))

    def replace_with_model_step(self, index: int, model_version: Any = None, *, model: Any = None) -> Self:
        """Run a model instead of a step."""
        return self._replace(index, _inference([_given(model_version, model)]))

    def add_shadow_deploy(self, champion: Any, challengers: Iterable[Any]) -> Self:
        """Run the challengers beside the champion, whose outputs are those of the step. It becomes three steps, as in the SDK."""
        for step in _shadow(champion, challengers):
            self._add(step)
        return self

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

    def add_validations(self, **validations: Any) -> Self:
        """Evaluate expressions of polars on every row; `anomaly.NAME` tells for which rows one is true."""
        if validations.pop("count", None) is not None:
            warnings.warn("'count' is not a valid name for a validation", stacklevel=2)
        return self._add({"Check": {"tree": [serialized(name, expression) for name, expression in validations.items()]}})

    def _add(self, step: dict[str, Any]) -> Self:
        self._steps.append(step)
        return self

    def _replace(self, index: int, step: dict[str, Any]) -> Self:
        self._steps[index] = step
        return self


def _inference(models: Iterable[Any]) -> dict[str, Any]:
    return {"ModelInference": {"models": [_named(model) for model in models]}}


def _shadow(champion: Any, challengers: Iterable[Any]) -> list[dict[str, Any]]:
    return [_inference([champion, *challengers]), {"AuditResults": {"from": 1, "to": None}}, {"MultiOut": {}}]


def _split(weighted: Iterable[tuple[float, Any]], hash_key: str | None) -> dict[str, Any]:
    weights = [{"model": _named(model), "weight": weight} for weight, model in weighted]
    return {"RandomSplit": {"hash_key": hash_key, "weights": weights}}


def _named(model: Any) -> dict[str, str]:
    return ModelForStep.from_model(model).to_json()


def _given(model_version: Any, model: Any) -> Any:
    if model_version is None and model is None:
        raise TypeError("missing 1 required positional argument: 'model_version'")
    return model if model_version is None else model_version
