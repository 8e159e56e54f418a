"""The endpoints `workspaces/…`, and the configuration that a client reads first."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.core.errors import Conflict
from orchlite.core.version import VERSION
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, Models, Pipelines, Queries
from orchlite.rest.errors import HTTPError

router = APIRouter(prefix="/v1/api", tags=["workspaces"], route_class=JsonRoute)


@router.get("/config", response_model=response_models.Config)
def config() -> Response:
    """Get the server's configuration. Needs no token."""
    return serializers.json_response(response_models.Config(default_arch=serializers.ARCH, orchlite=VERSION))


@router.post("/workspaces/create", response_model=response_models.WorkspaceId)
def create(body: request_models.CreateWorkspace, queries: Queries) -> Response:
    """Create a workspace. A name is a letter and up to 62 letters, digits, dashes and underscores."""
    try:
        workspace = queries.create_workspace(body.workspace_name)
    except Conflict as error:
        raise HTTPError(error, 400) from error  # as on the platform, where a connection's name that is taken is a 409
    return serializers.json_response(response_models.WorkspaceId(workspace_id=workspace.workspace_id))


@router.post("/workspaces/list", response_model=response_models.Workspaces)
def list_all(queries: Queries, models: Models, pipelines: Pipelines, body: request_models.ListWorkspaces | None = None) -> Response:
    """List every workspace, oldest first."""
    listed = [
        serializers.workspace(
            row,
            [model.model_id for model in models.models(row.workspace_id)],
            [pipeline.pipeline_id for pipeline in pipelines.pipelines(row.workspace_id)],
        )
        for row in queries.workspaces()
    ]
    return serializers.json_response(response_models.Workspaces(workspaces=listed))
