"""`wallaroo.deployment`: deployments with the interface of the platform's SDK."""

from __future__ import annotations

from typing import Any, Self

from orchlite.core.model_records import DeploymentRow
from orchlite.engine.engine import Engine

from ._absent import fill
from ._submodules import members


class Deployment:
    """The deployment of a pipeline, which stays when it is undeployed. It shows the store's present state."""

    def __init__(self, client: Any, engine: Engine, row: DeploymentRow) -> None:
        self.client = client
        self._engine = engine
        self._known = row

    def id(self) -> int:
        """The id, an integer."""
        return self._known.deployment_id

    def name(self) -> str:
        """The name, by default the pipeline's."""
        return self._row().name

    def deployed(self) -> bool:
        """Whether it is deployed."""
        return self._row().is_deployed

    def engine_config(self) -> dict[str, Any]:
        """The settings that it was deployed with."""
        return dict(self._row().config)

    def pipeline_name(self) -> str:
        """The pipeline's name."""
        return str(self._pipeline().name())

    def pipeline_versions(self) -> list[Any]:
        """The version that is deployed, in a list."""
        return [self.client._pipeline_version(self._engine.store.pipelines.version(self._row().pipeline_version_id))]

    def status(self) -> dict[str, Any]:
        """Return its status, in the platform's form; see `Pipeline.status`.

        Raises:
            wallaroo.object.EntityNotFoundError: it is not deployed.
        """
        status: dict[str, Any] = self._pipeline().status()
        return status

    def undeploy(self) -> Self:
        """Undeploy it; return it. Idempotent."""
        self._pipeline().undeploy()
        return self

    def wait_for_running(self, timeout: int | None = None) -> Self:
        """Return it at once: what is deployed runs.

        Raises:
            wallaroo.deployment.WaitForDeployError: it is not deployed.
        """
        from ._errors import WaitForDeployError

        if not self.deployed():
            raise WaitForDeployError("Deployment failed. See status for details.\nStatus: None")
        return self

    def wait_for_undeployed(self) -> Self:
        """Return it at once, if it is not deployed.

        Raises:
            wallaroo.deployment.WaitForError: it is deployed.
        """
        from ._errors import WaitForError

        if self.deployed():
            raise WaitForError("Undeployment failed. See status for details.", self.status())
        return self

    def url(self) -> str:
        """Return the address for requests that infer; see `Client.api_endpoint`.

        Raises:
            NotImplementedError: no server of this store is running.
        """
        return f"{self.client.api_endpoint}/v1/api/pipelines/infer/{self.name()}-{self.id()}/{self.pipeline_name()}"

    def infer(self, *args: Any, **named: Any) -> Any:
        """Run the pipeline; see `Pipeline.infer`."""
        return self._pipeline().infer(*args, **named)

    def infer_from_file(self, *args: Any, **named: Any) -> Any:
        """Run the pipeline on a file; see `Pipeline.infer_from_file`."""
        return self._pipeline().infer_from_file(*args, **named)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deployment) and (self._engine, self.id()) == (other._engine, other.id())

    def __hash__(self) -> int:
        return hash(self.id())

    def __repr__(self) -> str:
        return f"Deployment(name={self.name()!r}, deployed={self.deployed()})"

    def _row(self) -> DeploymentRow:
        return self._engine.store.deployments.get(self.id())

    def _pipeline(self) -> Any:
        return self.client._pipeline(self._engine.store.pipelines.get(self._known.pipeline_id))


fill(Deployment, members("deployment", "Deployment"))
