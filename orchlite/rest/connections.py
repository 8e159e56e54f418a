"""The endpoints `connections/…`: create, look at, list, delete, and which workspaces list them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.client.connection import Connection
from orchlite.rest import answers, requests, shapes
from orchlite.rest.routing import JsonRoute, View

router = APIRouter(prefix="/v1/api/connections", tags=["connections"], route_class=JsonRoute)


@router.post("/create", response_model=shapes.Id)
def create(asked: requests.CreateConnection, view: View) -> Response:
    """Keep under a name how a source or a destination of data is reached."""
    return answers.json_answer(shapes.Id(id=view.client.create_connection(asked.name, asked.type, asked.details).id()))


@router.post("/get", response_model=shapes.Connection)
def get(asked: requests.ConnectionNamed, view: View) -> Response:
    """The connection of a name, with its details."""
    return _answer(view.client.get_connection(asked.name))


@router.post("/get_by_id", response_model=shapes.Connection)
def get_by_id(asked: requests.ConnectionById, view: View) -> Response:
    """The connection with an id, with its details."""
    return _answer(view.client.get_connection_by_id(asked.id))


@router.post("/list", response_model=shapes.Connections)
def list_all(view: View, asked: requests.ListConnections | None = None) -> Response:
    """The connections that a workspace lists, or all there are, oldest first."""
    found = view.connections(None if asked is None else asked.workspace_id)
    return answers.json_answer(shapes.Connections(connections=[answers.connection(*one) for one in found]))


@router.post("/add_to_workspace", response_model=shapes.Id)
def add_to_workspace(asked: requests.ConnectionInWorkspace, view: View) -> Response:
    """Have a workspace list a connection; nothing changes where it does."""
    workspace = view.workspace_handle(asked.workspace_id)
    workspace.add_connection(view.client.get_connection_by_id(asked.connection_id).name())
    return answers.json_answer(shapes.Id(id=asked.connection_id))


@router.post("/remove_from_workspace", status_code=204, response_class=Response)
def remove_from_workspace(asked: requests.ConnectionInWorkspace, view: View) -> Response:
    """Have a workspace list a connection no more; nothing changes where it does not."""
    workspace = view.workspace_handle(asked.workspace_id)
    workspace.remove_connection(view.client.get_connection_by_id(asked.connection_id).name())
    return Response(status_code=204)


@router.post("/delete", status_code=204, response_class=Response)
def delete(asked: requests.ConnectionNamed, view: View) -> Response:
    """Remove a connection, from every workspace too."""
    view.client.get_connection(asked.name).delete_connection()
    return Response(status_code=204)


def _answer(connection: Connection) -> Response:
    return answers.json_answer(answers.connection(connection._row, connection.workspace_names()))
