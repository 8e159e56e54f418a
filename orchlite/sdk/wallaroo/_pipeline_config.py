"""`wallaroo.pipeline_config`: the steps of a pipeline. They print as the JSON by which a definition names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from orchlite.core.pipeline_steps import models_of
from orchlite.core.tables import table_html


class ModelForStep:
    """Names one version of a model."""

    __module__ = "wallaroo.pipeline_config"

    def __init__(self, name: str, version: str, sha: str) -> None:
        self.name = name
        self.version = version
        self.sha = sha

    def to_json(self) -> dict[str, str]:
        """Return its JSON object."""
        return {"name": self.name, "version": self.version, "sha": self.sha}

    @classmethod
    def from_json(cls, json_dict: Mapping[str, str]) -> Self:
        """Read what `to_json` returns."""
        return cls(json_dict["name"], json_dict["version"], json_dict["sha"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelForStep) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.version)

    def __repr__(self) -> str:
        return str(self.to_json())


class Step:
    """A step of a pipeline. Each kind is a subclass."""

    __module__ = "wallaroo.pipeline_config"

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def to_json(self) -> dict[str, Any]:
        """Return `{kind: {…}}`."""
        return {type(self).__name__: dict(self._content)}

    @staticmethod
    def from_json(json_dict: Mapping[str, Any]) -> Step:
        """Read what `to_json` returns.

        Raises:
            RuntimeError: it is of an unknown kind.
        """
        kind, content = next(iter(json_dict.items()))
        if kind not in _KINDS:
            raise RuntimeError(f"An invalid step definition was given {kind}")
        return _KINDS[kind](content)

    def is_inference_step(self) -> bool:
        """Return whether it runs models."""
        return bool(_models_of(self._content))

    def shortname(self) -> str:
        """Return a name for tables."""
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return repr(self.to_json())

    def _repr_html_(self) -> str:
        return table_html(("step", "model", "version"), [(type(self).__name__, one.name, one.version) for one in _models_of(self._content)])


class ModelInference(Step):
    """Runs a model; several are a shadow deployment, whose first is the champion."""

    __module__ = "wallaroo.pipeline_config"

    @property
    def models(self) -> list[ModelForStep]:
        """The models."""
        return _models_of(self._content)

    def shortname(self) -> str:
        """Return the names of its models."""
        return ",".join(model.name for model in self.models)


class RandomSplit(Step):
    """Runs one of several models, chosen at random."""

    __module__ = "wallaroo.pipeline_config"


class MetaValueSplit(Step):
    """Runs the model that a value of the input chooses."""

    __module__ = "wallaroo.pipeline_config"

    def shortname(self) -> str:
        """Return the name of the column."""
        return f"Key Split [{self._content['split_key']}]"


class Check(Step):
    """Evaluates the validations."""

    __module__ = "wallaroo.pipeline_config"


class AuditResults(Step):
    """The second part of a shadow deployment."""

    __module__ = "wallaroo.pipeline_config"


class MultiOut(Step):
    """The third part of a shadow deployment."""

    __module__ = "wallaroo.pipeline_config"


class Nth(Step):
    """Selects one of the outputs of several models."""

    __module__ = "wallaroo.pipeline_config"


_KINDS: dict[str, type[Step]] = {
    kind.__name__: kind for kind in (ModelInference, RandomSplit, MetaValueSplit, Check, AuditResults, MultiOut, Nth)
}


class Steps(list[Step]):
    """The steps of a pipeline, in their order."""

    __module__ = "wallaroo.pipeline_config"

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Self:
        """Return the steps that a definition names."""
        return cls(map(Step.from_json, definition.get("steps") or ()))

    def _repr_html_(self) -> str:
        return "<br/>".join(step.shortname() for step in self)


def _models_of(content: Mapping[str, Any]) -> list[ModelForStep]:
    return [ModelForStep.from_json(model) for model in models_of({"steps": [{"": content}]})]
