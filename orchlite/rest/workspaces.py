"""The endpoints `workspaces/…`, and what a client asks before anything else."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.core.version import VERSION
from orchlite.rest import answers, requests, shapes
from orchlite.rest.routing import JsonRoute, View

router = APIRouter(prefix="/v1/api", tags=["workspaces"], route_class=JsonRoute)


@router.get("/config", response_model=shapes.Config)
def config() -> Response:
    """What this server is."""
    return answers.json_answer(shapes.Config(default_arch=answers.ARCH, orchlite=VERSION))


@router.post("/workspaces/create", response_model=shapes.WorkspaceId)
def create(asked: requests.CreateWorkspace, view: View) -> Response:
    """Create a workspace: a letter first, then letters, digits, dashes and underscores, under 64 in all."""
    return answers.json_answer(shapes.WorkspaceId(workspace_id=view.create_workspace(asked.workspace_name).workspace_id))


@router.post("/workspaces/list", response_model=shapes.Workspaces)
def list_all(view: View, asked: requests.ListWorkspaces | None = None) -> Response:
    """Every workspace, oldest first."""
    return answers.json_answer(shapes.Workspaces(workspaces=[answers.workspace(row) for row in view.workspaces()]))
