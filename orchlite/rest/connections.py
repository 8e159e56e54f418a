"""The endpoints `connections/…`: create, look at, list, delete, and which workspaces list them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.client.connection import Connection
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, View

router = APIRouter(prefix="/v1/api/connections", tags=["connections"], route_class=JsonRoute)


@router.post("/create", response_model=response_models.Id)
def create(body: request_models.CreateConnection, view: View) -> Response:
    """Keep under a name how a source or a destination of data is reached."""
    return serializers.json_answer(response_models.Id(id=view.client.create_connection(body.name, body.type, body.details).id()))


@router.post("/get", response_model=response_models.Connection)
def get(body: request_models.ConnectionNamed, view: View) -> Response:
    """The connection of a name, with its details."""
    return _answer(view.client.get_connection(body.name))


@router.post("/get_by_id", response_model=response_models.Connection)
def get_by_id(body: request_models.ConnectionById, view: View) -> Response:
    """The connection with an id, with its details."""
    return _answer(view.client.get_connection_by_id(body.id))


@router.post("/list", response_model=response_models.Connections)
def list_all(view: View, body: request_models.ListConnections | None = None) -> Response:
    """The connections that a workspace lists, or all there are, oldest first."""
    found = view.connections(None if body is None else body.workspace_id)
    return serializers.json_answer(response_models.Connections(connections=[serializers.connection(*one) for one in found]))


@router.post("/add_to_workspace", response_model=response_models.Id)
def add_to_workspace(body: request_models.ConnectionInWorkspace, view: View) -> Response:
    """Have a workspace list a connection; nothing changes where it does."""
    workspace = view.workspace_handle(body.workspace_id)
    workspace.add_connection(view.client.get_connection_by_id(body.connection_id).name())
    return serializers.json_answer(response_models.Id(id=body.connection_id))


@router.post("/remove_from_workspace", status_code=204, response_class=Response)
def remove_from_workspace(body: request_models.ConnectionInWorkspace, view: View) -> Response:
    """Have a workspace list a connection no more; nothing changes where it does not."""
    workspace = view.workspace_handle(body.workspace_id)
    workspace.remove_connection(view.client.get_connection_by_id(body.connection_id).name())
    return Response(status_code=204)


@router.post("/delete", status_code=204, response_class=Response)
def delete(body: request_models.ConnectionNamed, view: View) -> Response:
    """Remove a connection, from every workspace too."""
    view.client.get_connection(body.name).delete_connection()
    return Response(status_code=204)


def _answer(connection: Connection) -> Response:
    return serializers.json_answer(serializers.connection(connection._row, connection.workspace_names()))
