"""Create virtual environments from the hosting interpreter, and find the pip that virtualenv includes. The only importer of virtualenv."""

from __future__ import annotations

import os
import sys
import threading
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from orchlite.core.errors import PackagingFailed
from orchlite.environments import gate

# `site` executes this line at every start of an environment's interpreter, in a virtual environment even twice: hence `not in sys.path`.
# `~` sorts last, so that folders which requirements add by `.pth` files of their own come before the host's. It is a single line, because
# `site` executes single lines, and compiling them is most of their cost (85 µs): so what the second time does not need is a string.
_PTH_NAME = "~orchlite.pth"
_PTH_EXTENSION = (
    "sys.path.insert(sys.path.index(os.path.join(sys.prefix, {site_packages!r})), os.environ['ORCHLITE_SDK']); "
    "sys.path.extend(filter(None, os.environ.get('ORCHLITE_HOST_PATHS', '').split(os.pathsep)))"
)
_PTH_LINE = (
    "import os, posix, sys; 'WALLAROO_TASK_ID' in os.environ and os.environ.get('ORCHLITE_SDK', '') not in ('', *sys.path)"
    " and exec({extension!r}); {gate}\n"
)


def interpreter_info() -> list[Any]:
    """Return what an environment created here depends on, as JSON: environments with equal values are interchangeable.

    Raises:
        PackagingFailed: this process does not know its interpreter.
    """
    system = os.uname()
    # `sys.version` names the build and its compiler; the suffix, the ABI.
    version = [list(sys.version_info), sys.version, sys.implementation.name, EXTENSION_SUFFIXES[0]]
    return [_interpreter(), *version, system.sysname, system.machine, _c_library(), _pth_line(""), gate.PROGRAM]


def suits(folder: Path) -> bool:
    """Return whether an environment runs on this process's interpreter: the same program, in any patch release of the same version.

    `interpreter_info` is stricter: it decides what is built, and this what is kept, so that an upgrade does not need an index.

    Raises:
        PackagingFailed: this process does not know its interpreter.
    """
    if os.path.realpath(folder / "bin" / "python") != _interpreter():
        return False
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return False
    settings = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    return settings.get("version_info", settings.get("version", "")).split(".")[:2] == [str(part) for part in sys.version_info[:2]]


def _c_library() -> str:
    """Return name and version of the C library, which decides what wheels fit; an empty string if it does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""


# virtualenv keeps interpreters, plug-ins and its logger in module globals without a lock; creating an environment takes 5 ms.
_one_at_a_time = threading.Lock()


def create(folder: Path, app_data: Path) -> tuple[Path, ...]:
    """Create an environment without pip; return its site-packages, `purelib` first.

    `app_data` is the folder of virtualenv's own cache. Threads take turns.

    Raises:
        PackagingFailed: the hosting interpreter cannot create one, or the path of `folder` is not allowed for one.
        OSError: the folder cannot be written.
    """
    from virtualenv import session_via_cli

    _check_path(folder)
    interpreter = _interpreter()
    arguments = [str(folder), "--python", interpreter, "--app-data", str(app_data)]
    arguments += ["--no-seed", "--activators", "", "--no-periodic-update", "--no-vcs-ignore"]
    try:
        with _one_at_a_time, session_via_cli(arguments, setup_logging=False, env=_environ()) as session:
            session.run()
            site_packages = tuple(dict.fromkeys((session.creator.purelib, session.creator.platlib)))
    except (RuntimeError, ValueError, SystemExit) as error:
        raise PackagingFailed(
            f"No environment could be created from the interpreter {interpreter!r}: {error}.", hint="Is it still installed, and complete?"
        ) from error
    _write_pth_file(folder, site_packages[0])
    return site_packages


def _check_path(folder: Path) -> None:
    if os.pathsep in str(folder):
        raise PackagingFailed(
            f"The cache folder {str(folder.parent)!r} has {os.pathsep!r} in its name, which no virtual environment can have.",
            hint="Name another folder in ORCHLITE_CACHE.",
        )


def _environ() -> dict[str, str]:
    """Return this process's variables without those that configure virtualenv or Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUALENV_", "PYTHON"))}
    return kept | {"VIRTUALENV_CONFIG_FILE": os.devnull}


def embedded_pip() -> Path:
    """Return the newest wheel of pip that virtualenv includes. Avoids importing virtualenv (125 ms) if its wheels are where it puts them.

    Raises:
        PackagingFailed: virtualenv has no pip for this Python.
    """
    from importlib.util import find_spec

    spec = find_spec("virtualenv")
    folders = [Path(folder, "seed", "wheels", "embed") for folder in (spec.submodule_search_locations or ())] if spec else []
    wheels = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
    return max(wheels, key=_wheel_version) if wheels else _distribution_pip()


def _wheel_version(wheel: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in wheel.name.split("-")[1].split(".") if part.isdigit())


def _distribution_pip() -> Path:
    """Ask virtualenv for the wheel: Linux distributions move the wheels out of the package."""
    from virtualenv.seed.wheels.embed import get_embed_wheel

    wheel = get_embed_wheel("pip", f"{sys.version_info.major}.{sys.version_info.minor}")
    if wheel is None:
        raise PackagingFailed("virtualenv includes no pip for this Python.", hint="Install virtualenv from the package index.")
    return Path(wheel.path)


def _interpreter() -> str:
    """Return the base interpreter below every virtual environment, links resolved: `python3` may be another one tomorrow."""
    executable = getattr(sys, "_base_executable", None) or sys.executable
    if not executable:
        raise PackagingFailed(
            "This process does not know its Python interpreter (sys.executable is empty).",
            hint="Where Python is embedded in a program, set sys.executable to an interpreter of the same version.",
        )
    return os.path.realpath(executable)


def _write_pth_file(folder: Path, site_packages: Path) -> None:
    # virtualenv resolves links in the cache's path.
    line = _pth_line(str(site_packages.relative_to(folder.resolve())))
    (site_packages / _PTH_NAME).write_text(line, encoding="ascii")
    (site_packages / gate.FILE).write_text(gate.PROGRAM, encoding="ascii")


def _pth_line(site_packages: str) -> str:
    return _PTH_LINE.format(extension=_PTH_EXTENSION.format(site_packages=site_packages), gate=gate.expression(site_packages))


def _reset_after_fork() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.Lock()  # another thread of the parent may hold the old one forever


os.register_at_fork(after_in_child=_reset_after_fork)
