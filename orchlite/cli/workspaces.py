"""The verb `workspaces`, and `workspaces create`."""

from __future__ import annotations

import click

from orchlite.cli.json_models import workspace_json
from orchlite.cli.lists import open_store
from orchlite.cli.options import VerbGroup, common_options
from orchlite.cli.upload import closing


@click.group(cls=VerbGroup, anywhere=True, invoke_without_command=True, short_help="List or create workspaces.")
@click.pass_context
def workspaces(context: click.Context) -> None:
    """List the workspaces of the store, or create one."""
    if context.invoked_subcommand is not None:
        return
    with open_store() as (client, out):
        found = client.list_workspaces()
        if out.as_json:
            out.json([workspace_json(one) for one in found])
        else:
            out.table(("id", "name", "created"), [(one.id(), one.name(), one.created_at()) for one in found])


@workspaces.command("create", anywhere=True)
@click.argument("name")
def create_workspace(name: str) -> None:
    """Create a workspace. NAME is a letter, then letters, digits and dashes."""
    out = common_options().output()
    client = common_options().open_client(create=True)
    with closing(client, out):
        made = client.create_workspace(name)
        out.json(workspace_json(made)) if out.as_json else out.line(made.name())
