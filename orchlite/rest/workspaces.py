"""The endpoints `workspaces/…`, and what a client asks before anything else."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.core.version import VERSION
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, View

router = APIRouter(prefix="/v1/api", tags=["workspaces"], route_class=JsonRoute)


@router.get("/config", response_model=response_models.Config)
def config() -> Response:
    """What this server is."""
    return serializers.json_answer(response_models.Config(default_arch=serializers.ARCH, orchlite=VERSION))


@router.post("/workspaces/create", response_model=response_models.WorkspaceId)
def create(body: request_models.CreateWorkspace, view: View) -> Response:
    """Create a workspace: a letter first, then letters, digits, dashes and underscores, under 64 in all."""
    return serializers.json_answer(response_models.WorkspaceId(workspace_id=view.create_workspace(body.workspace_name).workspace_id))


@router.post("/workspaces/list", response_model=response_models.Workspaces)
def list_all(view: View, body: request_models.ListWorkspaces | None = None) -> Response:
    """Every workspace, oldest first."""
    return serializers.json_answer(response_models.Workspaces(workspaces=[serializers.workspace(row) for row in view.workspaces()]))
