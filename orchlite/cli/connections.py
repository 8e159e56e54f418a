"""The verb `connections`, `connections create` and `connections delete`."""

from __future__ import annotations

import click

from orchlite.cli.json_models import connection_json
from orchlite.cli.key_values import read_details
from orchlite.cli.lists import open_store
from orchlite.cli.options import VerbGroup, common_options
from orchlite.cli.upload import closing
from orchlite.core.errors import Conflict, NotFound


@click.group(cls=VerbGroup, invoke_without_command=True, short_help="List, create or delete connections.")
@click.pass_context
def connections(context: click.Context) -> None:
    """List the connections of the store without their details, or create or delete one."""
    if context.invoked_subcommand is not None:
        return
    with open_store() as (client, out):
        found = client.list_connections()
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
@click.option("--details-file", metavar="FILE", help="Read details from a JSON object in a file; - is standard input. Use it for secrets.")
@click.option(
    "--detail", "details", multiple=True, metavar="K=V", help="A detail: K=text, or K:=JSON. Other users can see your command line."
)
def create_connection(name: str, type_: str, details_file: str | None, details: tuple[str, ...]) -> None:
    """Store how to reach a data source, for programs to read with wl.get_connection(NAME), and add it to the workspace."""
    out = common_options().output()
    known = read_details(details, details_file)
    client = common_options().open_client(create=True)
    with closing(client, out):
        try:
            made = client.create_connection(name, type_, known)
        except Conflict as error:
            way_out = common_options().command("connections", "delete", name, anywhere=True)
            raise Conflict(error.message, hint=f"`{way_out}` removes that one.", **error.details) from None
        client.get_current_workspace().add_connection(name)
        out.json(connection_json(made)) if out.as_json else out.line(made.name())


@connections.command("delete")
@click.argument("name")
def delete_connection(name: str) -> None:
    """Delete a connection from the store."""
    with open_store() as (client, out):
        try:
            client.get_connection(name).delete_connection()
        except NotFound as error:  # its hint says how to create one
            raise NotFound(error.message, hint="`orchlite connections` lists them.", **error.details) from None
        out.json({"name": name, "deleted": True}) if out.as_json else out.line(f"deleted {name}")
