"""The verbs `prune`, `backup` and `restore`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from orchlite.cli.json_models import pruned_json
from orchlite.cli.lists import open_store
from orchlite.cli.options import Duration, Verb, absolute_path, common_options


@click.command(cls=Verb, anywhere=True, short_help="Remove old runs, tasks, events and environments.")
@click.option("--older-than", type=Duration(), help="Minimum age.  [default: 30d, events 90d]")
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.option("--force", is_flag=True, help="Remove environments although another store that may need them cannot be read.")
def prune(older_than: timedelta | None, dry_run: bool, force: bool) -> None:
    """Remove old runs with their logs and files, old ended tasks, old events and unused environments.

    Nothing that runs, is queued or is scheduled is removed, nor what other stores need of the environments that they share.
    """
    with open_store() as (client, out):
        with out.busy("examining the store" if dry_run else "pruning the store"):
            pruned = client.prune(older_than, dry_run=dry_run, force=force)
        for store in pruned.unseen_stores:
            out.note(f"The environments stay, because the store {store} uses them too and cannot be read. If it is gone: prune --force.")
        out.json(pruned_json(pruned)) if out.as_json else out.line(str(pruned))


@click.command(cls=Verb, anywhere=True, short_help="Copy the store.")
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Copy the store into the new folder PATH while others use it. The copy contains the store's secrets."""
    with open_store() as (client, out):
        with out.busy("copying the store"):
            made = client.backup(absolute_path(path))
        out.json({"path": str(made)}) if out.as_json else out.line(str(made))


@click.command(cls=Verb, anywhere=True, short_help="Make a store from a backup.")
@click.argument("backup_path", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def restore(backup_path: Path, folder: Path) -> None:
    """Make a store from BACKUP in FOLDER, which must be new or empty. Use it with --store FOLDER."""
    from orchlite.client.client import Client

    out = common_options().output()
    with out.busy("restoring the store"):
        Client.restore(backup_path, folder)
    path = str(absolute_path(folder))
    out.json({"path": path}) if out.as_json else out.line(path)
