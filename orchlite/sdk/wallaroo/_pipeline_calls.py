"""The calls of `wallaroo.Client` about pipelines and deployments."""

from __future__ import annotations

from ._session import Session

TYPE_CHECKING = False  # type checkers take this name for True
if TYPE_CHECKING:
    from ._deployment import Deployment
    from ._pipeline import Pipeline, Pipelines


class PipelineCalls(Session):
    """Build pipelines, and find them and their deployments."""

    def build_pipeline(self, pipeline_name: str) -> Pipeline:
        """Return the pipeline of this name in the current workspace, which it creates if it is missing; without steps.

        An existing pipeline gets a new version without steps, as on the platform; its deployment is not changed.

        Raises:
            wallaroo.object.InvalidNameError: the name is not a letter followed by letters, digits and dashes, ends with a dash, or has
                64 or more characters.
            RuntimeError: the name has capital letters.
        """
        from orchlite.operations import deployments

        from ._names import require_dns_compliance

        require_dns_compliance(pipeline_name)
        if pipeline_name != pipeline_name.lower():  # class and text as in the SDK, which says so at the first step
            raise RuntimeError(f"Pipeline name `{pipeline_name}` must conform to [a-z0-9]([-a-z0-9]*[a-z0-9])?")
        version = deployments.build(self._engine().context, self.get_current_workspace().id(), pipeline_name)
        return self._pipeline(self._engine().store.pipelines.get(version.pipeline_id))

    def get_pipeline(self, name: str, version: str | None = None) -> Pipeline:
        """Return the pipeline of this name in the current workspace. Its next `deploy()` deploys `version`, else the newest one.

        Raises:
            Exception: there is no such pipeline or version.
        """
        pipelines = self._engine().store.pipelines
        row = pipelines.find(self.get_current_workspace().id(), name)
        if row is None:
            raise Exception(f"Pipeline {name} not found in this workspace.")  # class and texts as in the SDK
        pipeline = self._pipeline(row)
        if version is not None:
            found = next((each for each in pipelines.versions(row.pipeline_id) if each.version == version), None)
            if found is None:
                raise Exception(f"Pipeline version {version} not found in this workspace.")
            pipeline._version_to_deploy = found
        return pipeline

    def pipelines_by_name(self, pipeline_name: str, workspace_id: int | None = None, workspace_name: str | None = None) -> Pipelines:
        """Return the pipelines of this name in one workspace, or in all if none is named; newest first.

        Raises:
            TypeError: an argument has the wrong type.
            wallaroo.object.EntityNotFoundError: there is none.
        """
        from ._errors import EntityNotFoundError
        from ._pipeline import Pipelines

        workspaces = self._matching_ids(workspace_id, workspace_name)
        rows = [row for row in self._engine().store.pipelines.named(pipeline_name) if row.workspace_id in workspaces]
        if not rows:
            raise EntityNotFoundError("Pipeline", {"pipeline_name": pipeline_name})
        return Pipelines(map(self._pipeline, rows))

    def list_pipelines(self, workspace_id: int | None = None, workspace_name: str | None = None) -> Pipelines:
        """Return the pipelines of one workspace, or of all if none is named; newest first.

        Raises:
            TypeError: an argument has the wrong type.
            Exception: there is no workspace with this name.
        """
        from ._pipeline import Pipelines

        workspaces = self._workspace_ids(workspace_id, workspace_name)
        rows = [row for row in reversed(self._engine().store.pipelines.all()) if row.workspace_id in workspaces]
        return Pipelines(map(self._pipeline, rows))

    def deployment_by_name(self, deployment_name: str) -> Deployment:
        """Return the deployment of this name, which by default is its pipeline's, deployed or not.

        Raises:
            wallaroo.object.EntityNotFoundError: there is none.
        """
        from ._errors import EntityNotFoundError

        found = self._engine().store.deployments.named(deployment_name)
        if not found:
            raise EntityNotFoundError("Deployment", {"deployment_name": deployment_name})
        return self._deployment(next((each for each in found if each.is_deployed), found[0]))
