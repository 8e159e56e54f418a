"""The verb `completion`: the script that lets a shell complete verbs, options, names and ids."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from orchlite.cli.options import Verb

_VARIABLE = "_ORCHLITE_COMPLETE"


@click.command(cls=Verb, anywhere=True, short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL. In bash, add this line to ~/.bashrc: eval "$(orchlite completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "orchlite", _VARIABLE).source()
    click.echo(_quoting(script) if shell == "bash" else script)


def _quoting(script: str) -> str:
    """Return click's script for bash, changed to insert words as quoted text: bash would run what a name like `$(date)` or `x;date` holds.

    zsh and fish quote by themselves. Within quotes that are open already nothing is completed: they would need another form.
    """
    changes = {
        "local response\n": "local response\n    [[ ${COMP_WORDS[COMP_CWORD]} == [\\\"\\']* ]] && return 0\n",
        "IFS=',' read type": "IFS=',' read -r type",
        "COMPREPLY+=($value)": 'printf -v value \'%q\' "$value"\n            COMPREPLY+=("$value")',
    }
    for old, new in changes.items():
        if old not in script:
            raise RuntimeError(f"click's completion script for bash has changed: it has no {old!r}")
        script = script.replace(old, new)
    return script
