"""The verb `connections`, and `connections create`, `connections update` and `connections delete`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.json_models import connection_json
from orchlite.cli.key_values import read_details
from orchlite.cli.lists import open_store
from orchlite.cli.lookup import IdOrName
from orchlite.cli.options import VerbGroup, common_options, limit_option
from orchlite.cli.upload import closing
from orchlite.core.errors import BadArgument, Conflict, NotFound

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.client.connection import Connection


def _takes_details(function: Callable[..., Any]) -> Callable[..., Any]:
    file_help = "Read details from a JSON object in a file; - is standard input. Use it for secrets."
    detail_help = "A detail: K=text, or K:=JSON. Other users can see your command line."
    detail_option = click.option("--detail", "details", multiple=True, metavar="K=V", help=detail_help)
    return click.option("--details-file", metavar="FILE", help=file_help)(detail_option(function))


@click.group(cls=VerbGroup, invoke_without_command=True, short_help="List, create, update or delete connections.")
@click.pass_context
def connections(context: click.Context) -> None:
    """List the connections of the store without their details, or create, update or delete one.

    With --workspace, list those of that workspace.
    """
    if context.invoked_subcommand is not None:
        return
    with open_store() as (client, out):
        found = client.get_current_workspace().list_connections() if common_options().names_workspace else client.list_connections()
        if out.as_json:
            out.json([connection_json(one) for one in found])
        elif found:
            rows = [(one.name(), one.connection_type(), ", ".join(one.workspace_names()), one.created_at()) for one in found]
            out.table(("name", "type", "workspaces", "created"), rows)
        else:
            out.note("none found")


@connections.command("create")
@click.argument("name")
@click.argument("type_", metavar="TYPE")
@_takes_details
@limit_option
def create_connection(name: str, type_: str, details_file: str | None, details: tuple[str, ...]) -> None:
    """Store how to reach a data source, for programs to read with wl.get_connection(NAME), and add it to the workspace."""
    out = common_options().output()
    known = read_details(details, details_file)
    client = common_options().open_client(create=True)
    with closing(client, out):
        try:
            made = client.create_connection(name, type_, known)
        except Conflict as error:
            update = common_options().command("connections", "update", name, "--detail", "KEY=VALUE", anywhere=True)
            delete = common_options().command("connections", "delete", name, anywhere=True)
            raise Conflict(error.message, hint=f"`{update}` changes that one; `{delete}` removes it.", **error.details) from None
        client.get_current_workspace().add_connection(name)
        out.json(connection_json(made)) if out.as_json else out.line(made.name())


@connections.command("update", anywhere=True)
@click.argument("name", type=IdOrName("connections"))
@click.option("--type", "type_", metavar="TYPE", help="Another type.")
@_takes_details
@limit_option
def update_connection(name: str, type_: str | None, details_file: str | None, details: tuple[str, ...]) -> None:
    """Change details of a connection. Those that are not given are kept, and so are the workspaces that list it."""
    if type_ is None and details_file is None and not details:
        raise BadArgument("There is nothing to change.", hint="Give --detail, --details-file or --type.", argument="--detail")
    given = read_details(details, details_file)
    with open_store() as (client, out):
        made = _connection(client, name).update(given, connection_type=type_)
        out.json(connection_json(made)) if out.as_json else out.line(made.name())


@connections.command("delete", anywhere=True)
@click.argument("name", type=IdOrName("connections"))
def delete_connection(name: str) -> None:
    """Delete a connection from the store."""
    with open_store() as (client, out):
        _connection(client, name).delete_connection()
        out.json({"name": name, "deleted": True}) if out.as_json else out.line(f"deleted {name}")


def _connection(client: Client, name: str) -> Connection:
    try:
        return client.get_connection(name)
    except NotFound as error:  # its hint says how to create one
        raise NotFound(error.message, hint="`orchlite connections` lists them.", **error.details) from None
