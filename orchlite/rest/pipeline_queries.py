"""What the endpoints about pipelines, deployments and their logs need from a store; see `queries`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchlite.client.client import Client, engine_of
from orchlite.core.errors import NotFound
from orchlite.core.hints import Api
from orchlite.core.model_arguments import checked_model_name, checked_pipeline_name
from orchlite.core.model_records import DeploymentRow, PipelineRow, PipelineVersionRow
from orchlite.operations import deployments

if TYPE_CHECKING:
    from orchlite.inference.results import InferenceResult
    from orchlite.operations.inference import InferenceLogs, LogPosition

_TOPIC = re.compile(r"workspace-(\d{1,18})-pipeline-(.+)-inference(-failures)?")
_ID_DIGITS = 18


class PipelineQueries:
    """Queries about the pipelines of one client's store, and their deployments. Any thread may use them."""

    def __init__(self, client: Client) -> None:
        self._context = engine_of(client).context
        self._store = self._context.store

    def pipeline(self, pipeline_id: int) -> PipelineRow:
        """Return the pipeline with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.pipelines.get(pipeline_id)

    def pipeline_in(self, workspace_id: int, name: str) -> PipelineRow:
        """Return the workspace's pipeline of this name.

        Raises:
            NotFound: it does not exist.
        """
        found = self._store.pipelines.find(workspace_id, name)
        if found is None:
            raise _no_pipeline(name)
        return found

    def pipeline_named(self, name: str) -> PipelineRow:
        """Return the newest pipeline of this name.

        Raises:
            NotFound: there is none.
        """
        found = self._store.pipelines.named(name)
        if not found:
            raise _no_pipeline(name)
        return found[0]

    def pipelines(self, workspace_id: int | None = None) -> list[PipelineRow]:
        """Return a workspace's pipelines, or all, newest first."""
        pipelines = self._store.pipelines
        return (pipelines.all() if workspace_id is None else pipelines.of_workspace(workspace_id))[::-1]

    def build(self, workspace_id: int, name: str, definition: Mapping[str, Any] | None) -> PipelineVersionRow:
        """Store a version of the pipeline of this name, which is created if it is missing.

        Raises:
            BadArgument: the name is refused, or a step, or a validation.
            NotFound: there is no such workspace.
        """
        self._store.workspaces.get(workspace_id)
        return deployments.build(self._context, workspace_id, checked_pipeline_name(name, "pipeline_id"), definition)

    def versions(self, pipeline_id: int) -> list[PipelineVersionRow]:
        """Return the versions of a pipeline, newest first."""
        return self._store.pipelines.versions(pipeline_id)

    def version(self, pipeline_version_id: int) -> PipelineVersionRow:
        """Return the pipeline version with this id.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.pipelines.version(pipeline_version_id)

    def version_named(self, version: str) -> PipelineVersionRow:
        """Return the pipeline version with this UUID.

        Raises:
            NotFound: it does not exist.
        """
        found = self._store.pipelines.find_version(version)
        if found is None:
            raise NotFound(f"There is no pipeline version {version!r:.80} in this store.", version=version)
        return found

    def newest_version(self, pipeline_id: int) -> PipelineVersionRow:
        """Return the newest version of a pipeline.

        Raises:
            NotFound: there is no such pipeline.
        """
        found = self._store.pipelines.newest_version(self.pipeline(pipeline_id).pipeline_id)
        assert found is not None  # a pipeline is created with its first version
        return found

    def deploy(self, version: PipelineVersionRow, name: str, config: Mapping[str, Any] | None) -> DeploymentRow:
        """Deploy a version of a pipeline in place of what is deployed. `name` is the deployment's.

        Raises:
            BadArgument: the name is refused, or a step, or a validation.
            Conflict: the version has no steps, or they name a model version that does not exist.
        """
        checked_model_name(name, "deploy_id")
        return deployments.deploy_version(self._context, version.pipeline_version_id, name=name, config=config)

    def undeploy(self, pipeline_id: int) -> None:
        """Undeploy a pipeline. Idempotent."""
        deployments.undeploy(self._context, pipeline_id)

    def deployment(self, deployment_id: int) -> DeploymentRow:
        """Return the deployment with this id, deployed or not.

        Raises:
            NotFound: it does not exist.
        """
        return self._store.deployments.get(deployment_id)

    def deployment_of(self, pipeline_id: int) -> DeploymentRow | None:
        """Return the deployment of a pipeline, deployed or not; None if it was never deployed."""
        return self._store.deployments.of_pipeline(pipeline_id)

    def deployment_named(self, name: str) -> DeploymentRow:
        """Return the deployment `NAME-ID`, deployed or not.

        Raises:
            NotFound: it does not exist.
        """
        _, _, digits = name.rpartition("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= _ID_DIGITS:
            found = self._store.deployments.get(int(digits))
            if name == f"{found.name}-{found.deployment_id}":
                return found
        raise NotFound(f"There is no deployment {name!r:.80} in this store.", hint="Its name ends with its id: house-1.", name=name)

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of the deployment `NAME-ID`.

        Raises:
            NotFound: it does not exist, or was undeployed.
        """
        found = deployments.status(self._context, self.deployment_named(name).pipeline_id)
        if found is None:
            raise NotFound(f"{name!r} is not deployed.", hint="Deploy its pipeline again.", name=name)
        return found

    def infer(self, deployment: DeploymentRow, data: Any) -> InferenceResult:
        """Run what is deployed on data, and log the result. See `operations.inference.infer`.

        Raises:
            OrchliteError: it failed.
        """
        from orchlite.operations.inference import infer

        return infer(self._context, deployment.pipeline_id, data)

    def logs(self, topic: str, position: LogPosition | None, **criteria: Any) -> InferenceLogs:
        """Return records of a topic, from a position on. See `operations.inference.read_logs`.

        Raises:
            NotFound: there is no such pipeline, or it is another kind of topic.
            BadArgument: only one of the dates was given.
        """
        from orchlite.inference import libraries as lib
        from orchlite.operations.inference import InferenceLogs, read_logs

        parts = _TOPIC.fullmatch(topic)
        if parts is None:
            raise NotFound(f"There is no topic {topic!r:.200}.", hint="plateau/get_topic_name names the topic of a pipeline.", topic=topic)
        pipeline = self.pipeline_in(int(parts[1]), parts[2])
        if parts[3] is not None:  # inferences that failed are not logged
            return InferenceLogs(lib.pa.table({}), None, None)
        return read_logs(self._context, pipeline.pipeline_id, position=position, **criteria)


def _no_pipeline(name: str) -> NotFound:
    return NotFound(f"Pipeline {name!r:.80} not found.", hint=Api.LIST_PIPELINES + " shows the pipelines.", pipeline_name=name)
