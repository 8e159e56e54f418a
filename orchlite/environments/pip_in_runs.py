"""The `pip` of a run. It refuses to change the environment, which other runs share, and does everything else that pip does.

A package `pip` in the environment is found before the host's, and uses it for everything else. Programs named `pip` are found before those
on PATH, which would change the host's own environment. An environment that requires pip itself has only that.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchlite.environments import bytecode

_PROGRAM = """#!/bin/sh
exec "$(dirname -- "$0")/python" -m pip "$@"
"""

_INIT = '''"""The pip of the hosting interpreter, if there is one. See `__main__.py`."""

import sys


def _host_pip():
    from importlib.machinery import PathFinder
    from os.path import dirname, realpath

    here = realpath(dirname(dirname(__file__)))
    return PathFinder.find_spec("pip", [entry for entry in sys.path if realpath(entry) != here])


_found = _host_pip()
if _found is not None and _found.submodule_search_locations:
    __path__ += _found.submodule_search_locations
    __file__ = _found.origin
    exec(_found.loader.get_code("pip"))
elif sys.argv[:1] != ["-m"]:
    raise ModuleNotFoundError("No module named 'pip'", name="pip")
'''

_MAIN = '''"""Refuses to install into this environment, and leaves everything else to pip."""

import os
import sys

_COMMANDS = "install uninstall download freeze inspect list show check config search cache index wheel hash lock completion debug help"
_ELSEWHERE = ("--target", "--prefix", "--root", "--user", "--python", "--dry-run", "--help")
_REFUSAL = """orchlite: `pip {0}` is refused here: other runs share this environment, so a run cannot change it.
Write what the program needs into the bundle's requirements.txt; it is installed once, before the first run.
For a package of this run alone: pip install --target FOLDER, and FOLDER on sys.path.
"""


def _change(arguments):
    """Return the command that would change this environment; an empty string if none would."""
    command = next((each for each in arguments if each in _COMMANDS.split()), "")
    elsewhere = any(each.startswith(_ELSEWHERE) or (each[:1] == "-" and each[1:2] in ("t", "h")) for each in arguments)
    elsewhere = elsewhere or any(os.environ.get(name) for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON"))
    return command if command in ("install", "uninstall") and not elsewhere else ""


def _main():
    if refused := _change(sys.argv[1:]):
        sys.stderr.write(_REFUSAL.format(refused))
        return 1
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    try:
        from pip._internal.cli.main import main
    except ModuleNotFoundError:
        sys.stderr.write(f"{sys.executable}: No module named pip\\n")
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(_main())
'''


def add(programs: Path, site_packages: Path) -> None:
    """Add package and programs to an environment, given its folder of programs, unless pip is installed in it.

    Raises:
        OSError: the environment cannot be written.
    """
    package = site_packages / "pip"
    if package.exists():
        return
    package.mkdir(mode=0o700)
    for name, text in (("__init__.py", _INIT), ("__main__.py", _MAIN)):
        (package / name).write_text(text, encoding="utf-8")
        bytecode.write(package / name)
    for name in ("pip", "pip3", f"pip{sys.version_info.major}.{sys.version_info.minor}"):
        program = programs / name
        if not program.exists():
            program.write_text(_PROGRAM, encoding="utf-8")
            program.chmod(0o700)
