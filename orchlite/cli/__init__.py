"""The command line `orchlite`: the library's verbs for a terminal and for scripts. It translates, and decides nothing.

It needs the extra `cli`; without it, it says how to get that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_NEEDED = ("click", "rich")
_LEFT_OVER = "orchlite: {} holds no orchlite, and hides the one that is installed; an earlier installation has left it. Remove that folder."
_MISSING = 'orchlite: the command line needs packages that are not installed: pip install "orchlite[cli]"'


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: `arguments`, else those of this process. Always ends with SystemExit, whose code says how it went."""
    from importlib.util import find_spec

    import orchlite

    if getattr(orchlite, "__file__", None) is None:  # a folder without __init__.py: of this package only what it does not hide is found
        print(_LEFT_OVER.format(", ".join(map(repr, orchlite.__path__))), file=sys.stderr)
        raise SystemExit(3)
    if any(find_spec(name) is None for name in _NEEDED):
        print(_MISSING, file=sys.stderr)
        raise SystemExit(2)
    from orchlite.cli.app import command_line

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are those of the interpreter
    command_line.main(args=None if arguments is None else list(arguments), prog_name="orchlite")
