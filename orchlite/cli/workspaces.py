"""The verb `workspaces`: list them, or create one."""

from __future__ import annotations

import click

from orchlite.cli.json_models import workspace_shape
from orchlite.cli.lists import looking
from orchlite.cli.options import VerbGroup, setting
from orchlite.cli.upload import busy_closing


@click.group(cls=VerbGroup, invoke_without_command=True, short_help="List or create workspaces.")
@click.pass_context
def workspaces(context: click.Context) -> None:
    """List the store's workspaces; `workspaces create NAME` makes one."""
    if context.invoked_subcommand is not None:
        return
    with looking() as (client, out):
        found = client.list_workspaces()
        if out.as_json:
            out.json([workspace_shape(one) for one in found])
        else:
            out.table(("id", "name", "created"), [(one.id(), one.name(), one.created_at()) for one in found])


@workspaces.command("create")
@click.argument("name")
def create_workspace(name: str) -> None:
    """Create a workspace: a letter first, then letters, digits and dashes."""
    out, settings = setting().output(), setting()
    settings.workspace = "default"  # the one that is to be created is not there yet
    client = settings.opened(create=True)
    with busy_closing(client, out):
        made = client.create_workspace(name)
        out.json(workspace_shape(made)) if out.as_json else out.line(made.name())
