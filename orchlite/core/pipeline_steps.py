"""The steps of pipelines as JSON, in the shapes of the platform's SDK; `PipelineVersionRow` lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchlite.core.model_records import ModelVersionRow

Step = Mapping[str, Any]
"""An object with one key, the kind of the step."""


def model_step(*models: ModelVersionRow) -> Step:
    """Return a step that runs a model; with several, all of them on the same columns, the first of which is the champion."""
    return {"ModelInference": {"models": [_named(model) for model in models]}}


def shadow_steps(champion: ModelVersionRow, challengers: Iterable[ModelVersionRow]) -> list[Step]:
    """Return the three steps of a shadow deployment."""
    return [model_step(champion, *challengers), {"AuditResults": {"from": 1, "to": None}}, {"MultiOut": {}}]


def split_step(weighted: Iterable[tuple[float, ModelVersionRow]], hash_key: str | None) -> Step:
    """Return a step that runs one of several models, chosen at random by their weights."""
    weights = [{"model": _named(model), "weight": weight} for weight, model in weighted]
    return {"RandomSplit": {"hash_key": hash_key, "weights": weights}}


def key_split_step(default: ModelVersionRow, key: str, options: Mapping[str, ModelVersionRow]) -> Step:
    """Return a step that runs the model that the value of an input chooses."""
    routes = {value: _named(model) for value, model in options.items()}
    return {"MetaValueSplit": {"split_key": key, "control": _named(default), "routes": routes}}


def validations_step(expressions: Sequence[str]) -> Step:
    """Return a step that evaluates expressions of polars, each with its name, as JSON."""
    return {"Check": {"tree": list(expressions)}}


def models_of(definition: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """Yield the models `{"name", "version", "sha"}` that a definition names, in the order of its steps, each as often as it is named."""
    for step in definition.get("steps") or ():
        for content in step.values():
            yield from content.get("models", ())
            yield from (weighted["model"] for weighted in content.get("weights", ()))
            yield from content.get("routes", {}).values()
            yield from filter(None, [content.get("control")])


def _named(model: ModelVersionRow) -> Mapping[str, str]:
    return {"name": model.name, "version": model.version, "sha": model.sha}


def step_texts(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a few words about each step that runs something: the names of its models, or what else it does."""
    for step in steps:
        for kind, content in step.items():
            match kind:
                case "ModelInference" if len(content["models"]) == 1:
                    yield content["models"][0]["name"]
                case "ModelInference":
                    champion, *challengers = [model["name"] for model in content["models"]]
                    yield f"shadow of {champion}: {', '.join(challengers)}"
                case "RandomSplit":
                    yield "split: " + ", ".join(f"{one['model']['name']} {one['weight']:g}" for one in content["weights"])
                case "MetaValueSplit":
                    routes = ", ".join(f"{value} {model['name']}" for value, model in content["routes"].items())
                    yield f"split by {content['split_key']}: {routes}, else {content['control']['name']}"
                case "Check":
                    yield "validations"
                case "AuditResults" | "MultiOut":  # the rest of a shadow deployment
                    pass
                case _:
                    yield kind
