"""The verb `completion`: the script that lets a shell complete verbs, options, names and ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from orchlite.cli.options import Verb

_VARIABLE = "_ORCHLITE_COMPLETE"


@click.command(cls=Verb, short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL. In bash, add this line to ~/.bashrc: eval "$(orchlite completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "orchlite", _VARIABLE).source())
