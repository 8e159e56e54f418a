"""`wallaroo.pipeline`: pipelines with the interface of the platform's SDK."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from orchlite.core.errors import BadArgument, Conflict
from orchlite.core.model_records import DeploymentRow, PipelineRow, PipelineVersionRow
from orchlite.core.owner import owner_id
from orchlite.core.pipeline_steps import Step, models_of
from orchlite.engine.engine import Engine
from orchlite.operations import deployments

from ._absent import fill
from ._deployment_config import DeploymentConfig, DeploymentConfigBuilder
from ._display import NotebookList, moment, platform_time
from ._errors import EntityNotFoundError, WaitForDeployError
from ._names import require_dns_compliance
from ._pipeline_config import Steps
from ._pipeline_inference import Inference
from ._pipeline_steps import StepEditing
from ._pipeline_version import PipelineVersion, PipelineVersionList
from ._submodules import members


class Pipeline(StepEditing, Inference):
    """A pipeline, and the steps that this handle will deploy.

    As on the platform, a handle begins without steps, whatever is deployed, and `deploy()` of such a handle deploys those that are stored:
    of each step only the first model, so that a shadow deployment loses its challengers, and validations and random splits are lost.
    """

    def __init__(self, client: Any, engine: Engine, row: PipelineRow) -> None:
        super().__init__()
        self.client = client
        self._engine = engine
        self._row = row
        self._version_to_deploy: PipelineVersionRow | None = None

    def id(self) -> int:
        """The id, an integer."""
        return self._row.pipeline_id

    def name(self) -> str:
        """The name."""
        return self._row.name

    def owner_id(self) -> str:
        """The id of the account that owns the store."""
        return owner_id()

    def create_time(self) -> datetime:
        """When it was created."""
        return platform_time(self._row.created_at)

    def last_update_time(self) -> datetime:
        """When its newest version was stored."""
        return platform_time(self._engine.store.pipelines.get(self.id()).updated_at)

    def workspace(self) -> Any:
        """The workspace that has it."""
        return self.client._workspace_with_id(self._row.workspace_id)

    def versions(self) -> PipelineVersionList:
        """The stored versions, newest first."""
        return PipelineVersionList(map(self.client._pipeline_version, self._engine.store.pipelines.versions(self.id())))

    def variants(self) -> PipelineVersionList:
        """The stored versions, newest first: what `versions` was called until 2023.2."""
        return self.versions()

    def create_version(self) -> PipelineVersion:
        """Store the steps of this handle as a new version, without deploying it; return the version."""
        definition = {"id": self.name(), "steps": self._steps}
        row = deployments.build(self._engine.context, self.client.get_current_workspace().id(), self.name(), definition)
        self._row = self._engine.store.pipelines.get(row.pipeline_id)
        version: PipelineVersion = self.client._pipeline_version(row)
        return version

    def get_pipeline_configuration(self, version: str | None = None) -> dict[str, Any]:
        """Return `{"pipeline_id": name, "version": …, "definition": {…}}` of a stored version, the newest one by default.

        Raises:
            Exception: there is no such version.
        """
        found = self.versions()[0]._row if version is None else self._engine.store.pipelines.find_version(version)
        if found is None:
            raise Exception("Failed to get pipeline version")  # class and text as in the SDK
        name = self._engine.store.pipelines.get(found.pipeline_id).name
        return {"pipeline_id": name, "version": found.version, "definition": dict(found.definition)}

    def deploy(self, pipeline_name: str | None = None, deployment_config: Any = None, wait_for_status: bool | None = True) -> Self:
        """Store the steps as a new version in the current workspace, and deploy it; return the pipeline. It runs at once.

        pipeline_name: the deployment's name; by default the pipeline's.
        wait_for_status: if it is false, print that the deployment was initiated.

        Raises:
            wallaroo.object.InvalidNameError: the name is not a letter followed by letters, digits and dashes, ends with a dash, or has
                64 or more characters.
            wallaroo.object.EntityNotFoundError: a model was deleted.
            wallaroo.engine_config.InvalidAccelerationError: the architecture lacks the accelerator.
            wallaroo.deployment.WaitForDeployError: it cannot be deployed; nothing was changed.
        """
        if pipeline_name is not None:
            require_dns_compliance(pipeline_name)
        try:
            deployed = self._deploy(pipeline_name or self.name(), deployment_config)
        except (BadArgument, Conflict) as error:
            raise WaitForDeployError(str(error)) from error
        self._row, self._version_to_deploy = self._engine.store.pipelines.get(deployed.pipeline_id), None
        if not wait_for_status:
            sys.stdout.write(f"Deployment initiated for {deployed.name}. Please check pipeline status.\n")
        elif self.client._interactive:
            sys.stdout.write(" ok\n")
        return self

    def undeploy(self) -> Self:
        """Undeploy it, for all processes; return it. Idempotent."""
        if deployments.undeploy(self._engine.context, self.id()) and self.client._interactive:
            sys.stdout.write(" ok\n")
        return self

    def status(self) -> dict[str, Any]:
        """Return its status, in the platform's form: `{"status": "Running", "engines": [...], ...}`.

        Raises:
            wallaroo.object.EntityNotFoundError: it was undeployed.
        """
        deployment = self._deployment()
        if deployment is None:
            return {"status": f"Pipeline {self.name()} is not deployed"}
        found = deployments.status(self._engine.context, self.id())
        if found is None:
            raise EntityNotFoundError("Deployment not found", {"name": deployment.name})
        return found

    def url(self) -> str:
        """Return the address for requests that infer; see `Client.api_endpoint`.

        Raises:
            RuntimeError: it was never deployed.
            NotImplementedError: no server of this store is running.
        """
        deployment = self._deployment()
        if deployment is None:
            raise RuntimeError("Pipeline has not been deployed and has no url")
        return str(self.client._deployment(deployment).url())

    def _deploy(self, name: str, config: Any) -> DeploymentRow:
        context, workspace_id = self._engine.context, self.client.get_current_workspace().id()
        if not self._steps:
            for step in deployments.stored_steps(context, self.id(), self._version_to_deploy):
                self._add_first_model(step)
        settings = DeploymentConfigBuilder().build() if config is None else config
        DeploymentConfig.complete(settings, workspace_id, *self._processor())
        row = self._engine.store.pipelines.find(workspace_id, self.name())
        pipeline_id = deployments.build(context, workspace_id, self.name()).pipeline_id if row is None else row.pipeline_id
        return deployments.deploy(context, pipeline_id, self._steps, name=name, config=settings)

    def _processor(self) -> tuple[str | None, str | None]:
        """Return architecture and acceleration of the first model that names one."""
        names = models_of({"steps": self._steps})
        models = (self._engine.store.models.find_version(model["version"]) for model in names)
        return next(((model.arch, model.accel) for model in models if model and (model.arch or model.accel)), (None, None))

    def _add_first_model(self, step: Step) -> None:
        if "ModelInference" in step:
            first = step["ModelInference"]["models"][0]
            self.add_model_step(self.client.model_version_by_name(first["name"], first["version"]))

    def _deployment(self) -> DeploymentRow | None:
        return self._engine.store.deployments.of_pipeline(self.id())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return str({"name": self.name(), "create_time": self.create_time(), "definition": self.definition()})

    @staticmethod
    def _columns() -> Sequence[str]:
        return ("name", "created", "last_updated", "deployed", "workspace_id", "workspace_name", "arch", "accel", "versions", "steps")

    def _cells(self) -> Sequence[object]:
        deployment, workspace = self._deployment(), self.workspace()
        engine = {} if deployment is None else deployment.config.get("engine", {})
        version = None if deployment is None else self._engine.store.pipelines.version(deployment.pipeline_version_id)
        steps = Steps.of({} if version is None else version.definition)
        return (
            self.name(),
            moment(self.client, self.create_time()),
            moment(self.client, self.last_update_time()),
            "(unknown)" if deployment is None else deployment.is_deployed,
            workspace.id(),
            workspace.name(),
            engine.get("arch"),
            engine.get("accel"),
            ", ".join(each.name() for each in self.versions()),
            ", ".join(step.shortname() for step in steps),
        )

    def _repr_html_(self) -> str:
        return Pipelines([self])._repr_html_()


fill(Pipeline, members("pipeline", "Pipeline"))


class Pipelines(NotebookList[Pipeline]):
    """Pipelines, newest first."""

    _empty = "(no pipelines)"
