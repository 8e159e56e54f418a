"""The verb `connections`: list them, create or delete one."""

from __future__ import annotations

import click

from orchlite.cli.json_models import connection_shape
from orchlite.cli.key_values import read_details
from orchlite.cli.lists import looking
from orchlite.cli.options import VerbGroup, setting
from orchlite.cli.upload import busy_closing
from orchlite.core.errors import Conflict, NotFound


@click.group(cls=VerbGroup, invoke_without_command=True, short_help="List, create or delete connections.")
@click.pass_context
def connections(context: click.Context) -> None:
    """List the store's connections, without their details; `connections create` makes one."""
    if context.invoked_subcommand is not None:
        return
    with looking() as (client, out):
        found = client.list_connections()
        if out.as_json:
            out.json([connection_shape(one) for one in found])
        elif found:
            rows = [(one.name(), one.connection_type(), ", ".join(one.workspace_names()), one.created_at()) for one in found]
            out.table(("name", "type", "workspaces", "created"), rows)
        else:
            out.note("there are none")


@connections.command("create")
@click.argument("name")
@click.argument("type_", metavar="TYPE")
@click.option("--details-file", metavar="FILE", help="A file with a JSON object; - is standard input. For what nobody may read.")
@click.option("--detail", "details", multiple=True, metavar="K=V", help="K=text, or K:=JSON. Others can read your command line.")
def create_connection(name: str, type_: str, details_file: str | None, details: tuple[str, ...]) -> None:
    """Keep under NAME how a source of data is reached; programs read it with wl.get_connection(NAME). The workspace lists it."""
    out = setting().output()
    known = read_details(details, details_file)
    client = setting().opened(create=True)
    with busy_closing(client, out):
        try:
            made = client.create_connection(name, type_, known)
        except Conflict as error:
            way_out = setting().command("connections", "delete", name, anywhere=True)
            raise Conflict(error.message, hint=f"`{way_out}` removes that one.", **error.details) from None
        client.get_current_workspace().add_connection(name)
        out.json(connection_shape(made)) if out.as_json else out.line(made.name())


@connections.command("delete")
@click.argument("name")
def delete_connection(name: str) -> None:
    """Remove a connection from the store."""
    with looking() as (client, out):
        try:
            client.get_connection(name).delete_connection()
        except NotFound as error:  # whose hint is how to create it
            raise NotFound(error.message, hint="`orchlite connections` lists them.", **error.details) from None
        out.json({"name": name, "deleted": True}) if out.as_json else out.line(f"deleted {name}")
