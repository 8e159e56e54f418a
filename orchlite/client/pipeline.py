"""The handles of a pipeline and of its versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from orchlite.client.model import ModelVersion
from orchlite.client.pipeline_inference import PipelineInference
from orchlite.client.step_arguments import checked_index, checked_weight, row_of, serialized
from orchlite.core import pipeline_steps
from orchlite.core.arguments import checked_flag, checked_label, checked_object
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.model_arguments import checked_model_name
from orchlite.core.model_records import PipelineRow, PipelineVersionRow
from orchlite.core.pipeline_steps import Step, models_of
from orchlite.core.tables import Table, table_html
from orchlite.engine.engine import Engine
from orchlite.operations import deployments


class Pipeline(PipelineInference):
    """A sequence of steps in a workspace, most of which run models. It is deployed, asked, and undeployed by any number of processes.

    Steps are changed in the handle, and stored by `deploy()`. The first step that is added to a pipeline that was looked up replaces those
    that are stored, as on the platform.
    """

    def __init__(
        self, engine: Engine, row: PipelineRow, steps: Sequence[Step] | None = None, stored: PipelineVersionRow | None = None
    ) -> None:
        self._engine = engine
        self._known = row
        self._new_steps = None if steps is None else list(steps)
        """The steps to deploy; None: those of the version that is stored."""
        self._stored = stored
        """The version that was asked for; None: the newest."""

    def id(self) -> int:
        """Return the pipeline's id, an integer from 1 on."""
        return self._known.pipeline_id

    def name(self) -> str:
        """Return the name, unique in its workspace."""
        return self._known.name

    def workspace_id(self) -> int:
        """Return the id of its workspace."""
        return self._known.workspace_id

    def created_at(self) -> datetime:
        """Return when it was built first: aware, UTC."""
        return self._known.created_at

    def updated_at(self) -> datetime:
        """Return when its newest version was stored: aware, UTC.

        Raises:
            NotFound: it was deleted.
        """
        return self._engine.store.pipelines.get(self.id()).updated_at

    def versions(self) -> Table[PipelineVersion]:
        """Return the versions that are stored, newest first; none if it was deleted."""
        return Table(PipelineVersion(row) for row in self._engine.store.pipelines.versions(self.id()))

    def steps(self) -> list[dict[str, Any]]:
        """Return the steps that `deploy()` would deploy, as JSON objects in the form of the platform's SDK; empty if there are none."""
        return [dict(step) for step in (self._stored_steps() if self._new_steps is None else self._new_steps)]

    def add_model_step(self, model_version: ModelVersion) -> Self:
        """Append a step that runs a model.

        Raises:
            BadArgument: it is not a ModelVersion.
        """
        return self._append(pipeline_steps.model_step(row_of(model_version, "model_version")))

    def replace_with_model_step(self, index: int, model_version: ModelVersion) -> Self:
        """Replace the step at `index`, from 0 on, by one that runs a model.

        Raises:
            BadArgument: there is no such step, or it is not a ModelVersion.
        """
        step, steps = pipeline_steps.model_step(row_of(model_version, "model_version")), self.steps()
        steps[checked_index(index, steps)] = dict(step)
        return self._replace(steps)

    def add_shadow_deploy(self, champion: ModelVersion, challengers: Iterable[ModelVersion]) -> Self:
        """Append steps that run a champion, whose outputs are returned, and challengers, whose outputs are logged beside them.

        Raises:
            BadArgument: one is not a ModelVersion, or two models have one name.
        """
        rows = [row_of(champion, "champion"), *(row_of(each, "challengers") for each in challengers)]
        names = [row.name for row in rows]
        if len(set(names)) < len(names):
            hint = "Their outputs are told apart by the models' names: upload the challenger under another one."
            raise BadArgument(f"Two of the models have one name: {', '.join(names)}.", hint=hint, argument="challengers")
        return self._append(*pipeline_steps.shadow_steps(rows[0], rows[1:]))

    def add_random_split(self, weighted: Iterable[tuple[float, ModelVersion]], hash_key: str | None = None) -> Self:
        """Append a step that runs one of several models, chosen at random for each inference by the weights `[(2, first), (1, second)]`.

        hash_key: a column whose value in the first row, from 0 to 1, replaces the random number.

        Raises:
            BadArgument: there is no pair, a weight is not a positive number, or one is not a ModelVersion.
        """
        pairs = [(checked_weight(weight), row_of(model, "weighted")) for weight, model in weighted]
        if not pairs:
            raise BadArgument(Argument("weighted") + " is empty.", hint="It takes pairs of a weight and a model.", argument="weighted")
        return self._append(pipeline_steps.split_step(pairs, hash_key))

    def add_key_split(self, default: ModelVersion, meta_key: str, options: Mapping[str, ModelVersion]) -> Self:
        """Append a step that runs the model that `options` has for the value in the column `meta_key` of the data, else `default`.

        An inference goes to one model: the column has one value in all of its rows.

        Raises:
            BadArgument: `options` is not a mapping, a model is not a ModelVersion, or `meta_key` is not a text.
        """
        try:
            pairs = options.items()
        except AttributeError as error:
            hint = "It takes a mapping of values to versions of models."
            raise BadArgument(Argument("options") + f" is of type {type(options).__name__}.", hint=hint, argument="options") from error
        routes = {str(value): row_of(model, "options") for value, model in pairs}
        return self._append(pipeline_steps.key_split_step(row_of(default, "default"), checked_label(meta_key, "meta_key"), routes))

    def add_validations(self, **validations: Any) -> Self:
        """Append a step that evaluates an expression of polars for each row, as the column `anomaly.NAME`, and counts those that are true.

        `pipeline.add_validations(fraud=polars.col("out.dense_1").list.get(0) > 0.9)`

        Raises:
            BadArgument: there is none, one is not an expression, or one is named `count`.
        """
        if not validations:
            raise BadArgument("There is no validation.", hint="Give expressions of polars by their names.", argument="validations")
        return self._append(pipeline_steps.validations_step([serialized(*each) for each in validations.items()]))

    def remove_step(self, index: int) -> Self:
        """Remove the step at `index`, from 0 on.

        Raises:
            BadArgument: there is no such step.
        """
        steps = self.steps()
        del steps[checked_index(index, steps)]
        return self._replace(steps)

    def clear(self) -> Self:
        """Remove all steps."""
        return self._replace([])

    def deploy(
        self, pipeline_name: str | None = None, deployment_config: Mapping[str, Any] | None = None, wait_for_status: bool = True
    ) -> Self:
        """Store the steps as a new version of the pipeline, and deploy it for all processes, in place of what is deployed.

        It is running at once.

        pipeline_name: the name of the deployment; by default the pipeline's.
        deployment_config: a JSON object, such as `DeploymentConfigBuilder` of the module `wallaroo` builds; kept, without effect.
        wait_for_status: without effect.

        Raises:
            BadArgument: an argument, a step or a validation is refused.
            NotFound: the pipeline was deleted.
            Conflict: there are no steps, or the model of one was deleted. What is deployed stays.
        """
        checked_flag(wait_for_status, "wait_for_status")
        name = None if pipeline_name is None else checked_model_name(pipeline_name, "pipeline_name")
        config = checked_object(deployment_config, "deployment_config", self._engine.context.settings.limits.arguments_bytes)
        steps = self._stored_steps() if self._new_steps is None else self._new_steps
        deployments.deploy(self._engine.context, self.id(), steps, name=name, config=config)
        self._stored = None
        return self

    def undeploy(self) -> Self:
        """Undeploy the pipeline for all processes. Idempotent. An inference that has begun ends as if it still were deployed."""
        deployments.undeploy(self._engine.context, self.id())
        return self

    def status(self) -> dict[str, Any]:
        """Return the status as the platform's SDK does: `{"status": "Running", "engines": [...], ...}`, with the models of the steps.

        If it is not deployed, `{"status": "Pipeline NAME is not deployed"}`.

        Raises:
            NotFound: it was deleted.
        """
        status = deployments.status(self._engine.context, self.id())
        return {"status": f"Pipeline {self.name()} is not deployed"} if status is None else status

    def delete(self) -> None:
        """Delete the pipeline with its versions and its inference logs. Models stay.

        Raises:
            NotFound: it was deleted already.
            Conflict: it is deployed. Nothing was deleted.
        """
        from orchlite.operations.deletion import delete_pipeline

        delete_pipeline(self._engine.context, self.id())

    def _stored_steps(self) -> Sequence[Step]:
        version = self._stored or self._engine.store.pipelines.newest_version(self.id())
        return [] if version is None else list(version.definition.get("steps") or ())

    def _append(self, *steps: Step) -> Self:
        return self._replace([*(self._new_steps or ()), *steps])

    def _replace(self, steps: Sequence[Step]) -> Self:
        self._new_steps = list(steps)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Pipeline(id={self.id()}, name={self.name()!r}, models={_model_names({'steps': self.steps()})})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "deployed", "models", "created at", "updated at")

    def _cells(self) -> Sequence[object]:
        is_deployed = self._engine.store.deployments.deployed_version(self.id()) is not None
        return (self.id(), self.name(), is_deployed, ", ".join(_model_names({"steps": self.steps()})), self.created_at(), self.updated_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])


class PipelineVersion:
    """The steps of a pipeline, as they were stored once. It never changes."""

    def __init__(self, row: PipelineVersionRow) -> None:
        self._row = row

    def id(self) -> int:
        """Return the version's id, an integer from 1 on."""
        return self._row.pipeline_version_id

    def name(self) -> str:
        """Return the version, a UUID."""
        return self._row.version

    def definition(self) -> dict[str, Any]:
        """Return what was stored: `{"id": pipeline name, "steps": [...]}`, or an empty dictionary for a pipeline without steps."""
        return dict(self._row.definition)

    def created_at(self) -> datetime:
        """Return when it was stored: aware, UTC."""
        return self._row.created_at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PipelineVersion) and self.name() == other.name()

    def __hash__(self) -> int:
        return hash(self.name())

    def __repr__(self) -> str:
        return f"PipelineVersion(name={self.name()!r}, models={_model_names(self._row.definition)})"

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("id", "name", "models", "created at")

    def _cells(self) -> Sequence[object]:
        return (self.id(), self.name(), ", ".join(_model_names(self._row.definition)), self.created_at())

    def _repr_html_(self) -> str:
        return table_html(self._columns(), [self._cells()])


def _model_names(definition: Mapping[str, Any]) -> list[str]:
    return [model["name"] for model in models_of(definition)]
