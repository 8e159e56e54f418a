"""The endpoints `connections/…`."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.dependencies import JsonRoute, Queries, SeesDetails

router = APIRouter(prefix="/v1/api/connections", tags=["connections"], route_class=JsonRoute)


@router.post("/create", response_model=response_models.Id)
def create(body: request_models.CreateConnection, queries: Queries) -> Response:
    """Create a connection: a name for the address and credentials of a data source or destination."""
    connection = queries.client.create_connection(body.name, body.type, body.details)
    return serializers.json_response(response_models.Id(id=connection.id()))


@router.post("/get", response_model=response_models.Connection)
def get(body: request_models.ConnectionNamed, queries: Queries, shows_details: SeesDetails) -> Response:
    """Get a connection by its name, including its details."""
    return serializers.json_response(serializers.connection(*queries.connection_named(body.name), shows_details=shows_details))


@router.post("/get_by_id", response_model=response_models.Connection)
def get_by_id(body: request_models.ConnectionById, queries: Queries, shows_details: SeesDetails) -> Response:
    """Get a connection by its id, including its details."""
    return serializers.json_response(serializers.connection(*queries.connection(body.id), shows_details=shows_details))


@router.post("/list", response_model=response_models.Connections)
def list_all(queries: Queries, shows_details: SeesDetails, body: request_models.ListConnections | None = None) -> Response:
    """List the connections of a workspace, or all, oldest first."""
    found = queries.connections(None if body is None else body.workspace_id)
    connections = [serializers.connection(*one, shows_details=shows_details) for one in found]
    return serializers.json_response(response_models.Connections(connections=connections))


@router.post("/add_to_workspace", response_model=response_models.Id)
def add_to_workspace(body: request_models.ConnectionInWorkspace, queries: Queries) -> Response:
    """Add a connection to the list of a workspace. Idempotent."""
    workspace = queries.workspace_handle(body.workspace_id)
    workspace.add_connection(queries.client.get_connection_by_id(body.connection_id).name())
    return serializers.json_response(response_models.Id(id=body.connection_id))


@router.post("/remove_from_workspace", status_code=204, response_class=Response)
def remove_from_workspace(body: request_models.ConnectionInWorkspace, queries: Queries) -> Response:
    """Remove a connection from the list of a workspace. Idempotent."""
    workspace = queries.workspace_handle(body.workspace_id)
    workspace.remove_connection(queries.client.get_connection_by_id(body.connection_id).name())
    return Response(status_code=204)


@router.post("/delete", status_code=204, response_class=Response)
def delete(body: request_models.ConnectionNamed, queries: Queries) -> Response:
    """Delete a connection, and remove it from every workspace."""
    queries.client.get_connection(body.name).delete_connection()
    return Response(status_code=204)
