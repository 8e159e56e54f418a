"""Making virtual environments from the hosting interpreter, and what else virtualenv brings. The only importer of virtualenv."""

from __future__ import annotations

import os
import sys
import threading
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from orchlite.core.errors import PackagingFailed

# Read by `site` at every start of an environment's interpreter, in a virtual environment even twice, hence the look at what is on the path.
# `~` sorts last, so the folders that requirements add by path files of their own stand before the host's. It is one expression, because
# `site` executes single lines, and compiling it is most of its cost (60 µs).
_PATH_FILE = "~orchlite.pth"
_PATH_LINE = (
    "import os, sys; 'WALLAROO_TASK_ID' in os.environ and os.environ.get('ORCHLITE_SDK', '') not in ('', *sys.path) and ("
    "sys.path.insert(sys.path.index(os.path.join(sys.prefix, {site_packages!r})), os.environ['ORCHLITE_SDK']),"
    " sys.path.extend(filter(None, os.environ.get('ORCHLITE_HOST_PATHS', '').split(os.pathsep))))\n"
)


def facts() -> list[Any]:
    """What an environment made here depends on, as JSON: environments with equal facts are interchangeable.

    Raises:
        PackagingFailed: this process does not know its interpreter.
    """
    system = os.uname()
    version = [list(sys.version_info), sys.implementation.name, EXTENSION_SUFFIXES[0]]
    return [_interpreter(), *version, system.sysname, system.machine, _PATH_LINE]


# virtualenv keeps what it learnt about interpreters and plug-ins in module globals without a lock; a turn costs 5 ms.
_one_at_a_time = threading.Lock()


def make(folder: Path, app_data: Path) -> tuple[Path, ...]:
    """Make an environment without pip; return its site-packages, pure Python first.

    `app_data` is virtualenv's own cache.

    Raises:
        PackagingFailed: the hosting interpreter cannot make one, or none can be there.
        OSError: the folder cannot be written.
    """
    from virtualenv import session_via_cli

    _refuse_separator(folder)
    interpreter = _interpreter()
    arguments = [str(folder), "--python", interpreter, "--app-data", str(app_data)]
    arguments += ["--no-seed", "--activators", "", "--no-periodic-update", "--no-vcs-ignore"]
    try:
        with _one_at_a_time, session_via_cli(arguments, setup_logging=False, env=_plain_environment()) as session:
            session.run()
            site_packages = tuple(dict.fromkeys((session.creator.purelib, session.creator.platlib)))
    except (RuntimeError, ValueError, SystemExit) as error:
        raise PackagingFailed(
            f"No environment could be made from the interpreter {interpreter!r}: {error}.", hint="Is it still installed, and complete?"
        ) from error
    _write_path_file(folder, site_packages[0])
    return site_packages


def _refuse_separator(folder: Path) -> None:
    if os.pathsep in str(folder):
        raise PackagingFailed(
            f"The cache folder {str(folder.parent)!r} has {os.pathsep!r} in its name, which no virtual environment can have.",
            hint="Name another folder in ORCHLITE_CACHE.",
        )


def _plain_environment() -> dict[str, str]:
    """What virtualenv may see: none of the settings that would change what it makes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUALENV_", "PYTHON"))}
    return kept | {"VIRTUALENV_CONFIG_FILE": os.devnull}


def embedded_pip() -> Path:
    """The pip wheel that virtualenv brings, found without importing virtualenv where possible (125 ms)."""
    from importlib.util import find_spec

    spec = find_spec("virtualenv")
    folders = [Path(folder, "seed", "wheels", "embed") for folder in (spec.submodule_search_locations or ())] if spec else []
    wheels = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
    return max(wheels, key=_wheel_version) if wheels else _pip_elsewhere()


def _wheel_version(wheel: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in wheel.name.split("-")[1].split(".") if part.isdigit())


def _pip_elsewhere() -> Path:
    """Ask virtualenv itself: Linux distributions move the wheels out of the package."""
    from virtualenv.seed.wheels.embed import get_embed_wheel

    wheel = get_embed_wheel("pip", f"{sys.version_info.major}.{sys.version_info.minor}")
    if wheel is None:
        raise PackagingFailed("virtualenv brings no pip for this Python.", hint="Install virtualenv from the package index.")
    return Path(wheel.path)


def _interpreter() -> str:
    """The hosting interpreter below every virtual environment, with links resolved: `python3` may mean another one tomorrow."""
    executable = getattr(sys, "_base_executable", None) or sys.executable
    if not executable:
        raise PackagingFailed(
            "This process does not know its Python interpreter (sys.executable is empty).",
            hint="Where Python is embedded in a program, set sys.executable to an interpreter of the same version.",
        )
    return os.path.realpath(executable)


def _write_path_file(folder: Path, site_packages: Path) -> None:
    # virtualenv resolves links in the cache's path.
    line = _PATH_LINE.format(site_packages=str(site_packages.relative_to(folder.resolve())))
    (site_packages / _PATH_FILE).write_text(line, encoding="ascii")


def _after_fork() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
