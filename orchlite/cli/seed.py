"""The verb `seed`: models, pipelines, connections and workspaces from a file."""

from __future__ import annotations

import click

from orchlite.cli.json_models import seed_change_json
from orchlite.cli.options import Verb, common_options, limit_option
from orchlite.cli.upload import closing


@click.command(cls=Verb, short_help="Upload models and deploy pipelines as a file says.")
@click.argument("path", metavar="SCENE", type=click.Path())
@limit_option
def seed(path: str) -> None:
    """Give the store what SCENE, a TOML file, says: workspaces, models, pipelines and connections. Print what has changed.

    What the store has already stays as it is, so that a second call changes nothing. All of the file is checked before anything is stored.
    """
    out = common_options().output()
    client = common_options().open_client(create=True)
    with closing(client, out):
        with out.busy("seeding"):
            changes = client.seed(path)
        if out.as_json:
            out.json([seed_change_json(one) for one in changes])
            return
        for change in changes:
            out.line(str(change))
        if not changes:
            out.note("nothing to change")
