"""The steps of a pipeline, from the JSON of its definition, whose shapes are those of the platform's SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from orchlite.core.errors import InferenceFailed


class ModelName(NamedTuple):
    """Names one version of a model."""

    name: str
    version: str
    sha: str


class RunModels(NamedTuple):
    """Run a champion; in a shadow deployment also challengers, on the same columns."""

    champion: ModelName
    challengers: tuple[ModelName, ...] = ()


class Split(NamedTuple):
    """Run one of several models, chosen at random for each inference."""

    weights: tuple[tuple[float, ModelName], ...]
    key: str | None
    """A column whose value in the first row, from 0 to 1, replaces the random number."""


class KeySplit(NamedTuple):
    """Run the model that a value of the pipeline's input chooses."""

    key: str
    """The column. Its value must be the same in all rows of an inference."""
    control: ModelName
    """Runs if there is no route for the value, or no such column."""
    routes: tuple[tuple[str, ModelName], ...]
    """The values, as text, with their models."""


class Validate(NamedTuple):
    """Evaluate expressions of polars on the columns so far."""

    expressions: tuple[str, ...]
    """Each with its name, as JSON."""


Step = RunModels | Split | KeySplit | Validate

_WITHOUT_EFFECT = frozenset({"AuditResults", "MultiOut"})
"""Steps that the SDK adds to a shadow deployment. Every output is logged and returned in any case."""


def steps_of(definition: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the steps of a definition `{"id": …, "steps": [{KIND: {…}}, …]}`; an empty tuple if it has none.

    Raises:
        InferenceFailed: a step is of a kind that orchlite does not run.
    """
    steps: list[Step] = []
    for step in definition.get("steps") or []:
        kind, content = next(iter(step.items()))
        if kind == "Nth":
            steps[-1] = _only(steps[-1] if steps else None, content["index"])
        elif kind not in _WITHOUT_EFFECT:
            steps.append(_step(kind, content))
    return tuple(steps)


def models_of(steps: tuple[Step, ...]) -> tuple[ModelName, ...]:
    """Return the models that the steps may run."""
    found: list[ModelName] = []
    for step in steps:
        match step:
            case RunModels(champion, challengers):
                found += [champion, *challengers]
            case Split(weights):
                found += [model for _, model in weights]
            case KeySplit(_, control, routes):
                found += [control, *(model for _, model in routes)]
    return tuple(dict.fromkeys(found))


def _step(kind: str, content: Mapping[str, Any]) -> Step:
    match kind:
        case "ModelInference":
            champion, *challengers = map(_model, content["models"])
            return RunModels(champion, tuple(challengers))
        case "RandomSplit":
            first, *others = ((float(each["weight"]), _model(each["model"])) for each in content["weights"])
            key = content.get("hash_key")
            return Split((first, *others), None if key is None else _text(key))
        case "MetaValueSplit":
            routes = tuple((str(value), _model(model)) for value, model in content["routes"].items())
            return KeySplit(str(content["split_key"]), _model(content["control"]), routes)
        case "Check":
            return Validate(tuple(map(_text, content["tree"])))
        case _:
            raise _not_run(kind)


def _only(step: Step | None, index: int) -> Step:
    if not isinstance(step, RunModels):
        raise _not_run("Nth")
    return RunModels((step.champion, *step.challengers)[index])


def _not_run(kind: str) -> InferenceFailed:
    hint = "Build it of model steps, shadow deployments, random splits, key splits and validations."
    return InferenceFailed(f"The pipeline has a step {kind!r}, which orchlite does not run.", hint=hint, step=kind)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _model(known: Mapping[str, Any]) -> ModelName:
    return ModelName(str(known["name"]), str(known["version"]), str(known["sha"]))
