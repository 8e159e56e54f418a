"""The command line `orchlite`. It translates between the terminal and the library, and decides nothing.

It needs the extra `cli`; without it, `main` prints how to install that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_REQUIRED = ("click", "rich")
_SHADOWED = "orchlite: {} is a remnant of an earlier installation, and hides the installed package. Remove that folder."
_MISSING = 'orchlite: the command line needs packages that are not installed: pip install "orchlite[cli]"'


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with `arguments`, by default those of this process, and raise `SystemExit` with its exit code."""
    from importlib.util import find_spec

    import orchlite

    if getattr(orchlite, "__file__", None) is None:  # a folder without __init__.py, found before an editable installation
        print(_SHADOWED.format(", ".join(map(repr, orchlite.__path__))), file=sys.stderr)
        raise SystemExit(3)
    if any(find_spec(name) is None for name in _REQUIRED):
        print(_MISSING, file=sys.stderr)
        raise SystemExit(2)
    from orchlite.cli.app import command_line

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the interpreter's own streams
    command_line.main(args=None if arguments is None else list(arguments), prog_name="orchlite")
