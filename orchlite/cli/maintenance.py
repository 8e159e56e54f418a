"""The verbs that keep a store in order: `prune`, `backup`, `restore`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from orchlite.cli.json_models import pruned_shape
from orchlite.cli.lists import looking
from orchlite.cli.options import Duration, Verb, setting, whole_path


@click.command(cls=Verb, short_help="Remove what is over and old.")
@click.option("--older-than", type=Duration(), help="What was over so long ago: 30d by default, events 90d.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(older_than: timedelta | None, dry_run: bool) -> None:
    """Remove what is over and old: runs with logs and files, tasks, events, environments that nobody uses. Never what lives."""
    with looking() as (client, out):
        with out.busy("looking for what is over" if dry_run else "removing what is over"):
            pruned = client.prune(older_than, dry_run=dry_run)
        out.json(pruned_shape(pruned)) if out.as_json else out.line(str(pruned))


@click.command(cls=Verb, short_help="Copy the store.")
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Copy the store into the new folder PATH, while others work with it. The copy holds its secrets."""
    with looking() as (client, out):
        with out.busy("copying the store"):
            made = client.backup(whole_path(path))
        out.json({"path": str(made)}) if out.as_json else out.line(str(made))


@click.command(cls=Verb, short_help="Make a store of a backup.")
@click.argument("backup_path", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def restore(backup_path: Path, folder: Path) -> None:
    """Make a store of BACKUP in the new or empty FOLDER; use it with --store FOLDER."""
    from orchlite.client.client import Client

    out = setting().output()
    with out.busy("restoring the store"):
        Client.restore(backup_path, folder)
    path = str(whole_path(folder))
    out.json({"path": path}) if out.as_json else out.line(path)
