"""Finds out before a deployment whether the steps of a pipeline can run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchlite.core.errors import InferenceFailed, MissingExtra
from orchlite.inference import tensor_checks
from orchlite.inference.definition import RunModels, Step, Validate, steps_of
from orchlite.inference.expressions import expression
from orchlite.inference.tensor_checks import TensorCheck


def check(definition: Mapping[str, Any]) -> None:
    """Check the kinds of the steps, and the validations, where polars is installed. It reads neither data nor the models' files.

    Raises:
        InferenceFailed: a step is of a kind that orchlite does not run, or a validation cannot be read.
    """
    try:
        steps = steps_of(definition)
    except (AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        hint = 'A step is an object with one key, such as {"ModelInference": {"models": [...]}}.'
        raise InferenceFailed("The steps of the pipeline are malformed.", hint=hint) from error
    for place, step in enumerate(steps):
        for text in step.expressions if isinstance(step, Validate) else ():
            _check_validation(text, steps[:place])


def _check_validation(text: str, before: tuple[Step, ...]) -> None:
    known = tensor_checks.read(text)
    if known is not None:
        _check_tensors(known, [step for step in before if not isinstance(step, Validate)])
        return
    try:
        expression(text)
    except MissingExtra:
        return  # the process that infers may have it


def _check_tensors(known: TensorCheck, steps: list[Step]) -> None:
    fed = _names(steps[0])[:1] if steps else ()
    returning = _names(steps[-1]) if steps else ()
    for model, position in known.tensors():
        if model not in (fed if position == "input" else returning):
            message = f"The validation {known.name!r} is about the {position}s of model {model!r}, which no step before it always has."
            hint = "It takes the inputs of the first model, and the outputs of the last one or its challengers."
            raise InferenceFailed(message, hint=hint, validation=known.name, model=model)


def _names(step: Step) -> tuple[str, ...]:
    return tuple(model.name for model in (step.champion, *step.challengers)) if isinstance(step, RunModels) else ()
