"""Environments: virtual environments in the cache, found by what they must contain. The only importer of virtualenv.

Owns `<cache>/environments`, with one folder for each key:

    <key>/lock            held (flock, exclusive) by the one host that builds
    <key>/ready.json      names the build in use, and what is installed in it; written last
    <key>/<build>/        a virtual environment, made in its final place
    <key>/<build>.lock    held (flock, shared) by whoever uses that build: its runs and its installer

Every attempt to build gets a folder of its own, so a killed host's installer that has not died yet disturbs nobody. A build that
`ready.json` does not name is half-built or replaced: it is never used again, and the next builder removes it if its lock is free. A
replaced one stays until then, because a run that found it may be on its way to the lock.

This room runs no installer and knows none; what an installer needs travels through the caller.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from time import sleep
from typing import Any

from orchlite.errors import DeviceFailed, PackagingFailed, StorageFull, WaitTimeout
from orchlite.records import Installation

_POLL_SECONDS = 0.02

# Read by `site` at every start of an environment's interpreter, in a virtual environment even twice, hence the look at what is on the path.
# `~` sorts last, so the folders that requirements add by path files of their own stand before the host's. It is one expression, because
# `site` executes single lines, and compiling it is most of its cost (60 µs).
_PATH_FILE = "~orchlite.pth"
_PATH_LINE = (
    "import os, sys; 'WALLAROO_TASK_ID' in os.environ and os.environ.get('ORCHLITE_SDK', '') not in ('', *sys.path) and ("
    "sys.path.insert(sys.path.index(os.path.join(sys.prefix, {site_packages!r})), os.environ['ORCHLITE_SDK']),"
    " sys.path.extend(filter(None, os.environ.get('ORCHLITE_HOST_PATHS', '').split(os.pathsep))))\n"
)


class Builds:
    """The environments of one cache folder. Safe to use from several threads and processes; makes its folders when it needs them."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[str, tuple[tuple[int, int], Installation | None]] = {}
        """What `ready.json` said, by key, with its inode and time: every run looks, and it almost never changes."""

    def key(self, requirements: tuple[str, ...], installer: str) -> str:
        """Name the environment that has exactly these needs on this interpreter: 32 hexadecimal digits.

        `installer` is its name and version; it does not count where nothing is to be installed.

        Raises:
            PackagingFailed: this process does not know its interpreter.
        """
        import hashlib

        needs = [sorted(set(requirements)), installer if requirements else None, _interpreter_facts(), _PATH_LINE]
        return hashlib.sha256(json.dumps(needs).encode()).hexdigest()[:32]

    def find(self, key: str) -> Installation | None:
        """Look for a finished build whose interpreter is still there."""
        home = self._home(key)
        try:
            found = (home / "ready.json").stat()
        except OSError:
            return None
        stamp = (found.st_ino, found.st_mtime_ns)
        if self._known.get(key, (None, None))[0] != stamp:
            self._known[key] = (stamp, _read_installation(key, home))
        installation = self._known[key][1]
        # `exists` follows the link: an environment whose base interpreter was removed is no environment any more.
        return installation if installation is not None and installation.python.exists() else None

    @contextmanager
    def building(self, key: str, cancelled: Callable[[], bool], *, refresh: bool = False) -> Iterator[Build]:
        """Be the only builder of this environment, on the whole machine, while the block lasts.

        Blocks while another builds; what that one finished is then in `Build.found`, unless `refresh` asks for a new build.
        A block that ends without `finish()` leaves nothing behind.

        Raises:
            WaitTimeout: `cancelled` became true during the wait.
            DeviceFailed: the cache folder cannot be written (`StorageFull`: the disk is full).
        """
        home = self._home(key)
        with _device_errors(home):
            # One by one, since `parents=True` gives its mode to the last only.
            for folder in (self._cache, home.parent, home):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _exclusively(home / "lock", cancelled):
            _sweep(home)
            build = Build(key, home, self._cache / "virtualenv", None if refresh else self.find(key))
            try:
                yield build
            finally:
                build.leave()

    def _home(self, key: str) -> Path:
        return self._cache / "environments" / key


class Build:
    """One host's turn at building an environment: `make()`, install, `finish()`; nothing at all where `found` is set."""

    def __init__(self, key: str, home: Path, app_data: Path, found: Installation | None) -> None:
        self.found = found
        self._key = key
        self._home = home
        self._app_data = app_data
        self._folder = home / os.urandom(4).hex()
        self._site_packages: tuple[Path, ...] = ()
        self._finished = False

    @property
    def python(self) -> Path:
        """The environment's interpreter, once it is made."""
        return _python_of(self._folder)

    @property
    def lock(self) -> Path:
        """The file to lock (shared) while anything runs in this build, the installer included."""
        return _lock_of(self._folder)

    @property
    def install_folder(self) -> Path:
        """A folder inside the build for the installer's files; gone after `finish()`."""
        return self._folder / "install"

    def make(self) -> Path:
        """Make the environment, empty; return its interpreter.

        Raises:
            PackagingFailed: the hosting interpreter cannot make one.
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        _refuse_separator(self._folder)
        with _device_errors(self._folder):
            self.lock.touch(mode=0o600)
            self._folder.mkdir(mode=0o700)
            self._site_packages = _make_virtualenv(self._folder, self._app_data)
            _write_path_file(self._folder, self._site_packages[0])
            self.install_folder.mkdir(mode=0o700)
        return self.python

    def finish(self) -> Installation:
        """Declare the build complete: from now on `find` returns it. Durable.

        Raises:
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        with _device_errors(self._folder):
            _remove(self.install_folder)
            installed = _installed(self._site_packages)
            _write_ready(self._home, {"build": self._folder.name, "installed": installed})
            self._finished = True
        return Installation(self._key, self.python, self.lock, installed)

    def leave(self) -> None:
        """Remove what was not finished, unless an installer that could not be ended still works in it."""
        if not self._finished and self._folder.exists():
            _discard(self._folder)


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


def _interpreter_facts() -> list[Any]:
    system = os.uname()
    return [_interpreter(), list(sys.version_info), sys.implementation.name, EXTENSION_SUFFIXES[0], system.sysname, system.machine]


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


# Making a virtual environment

# virtualenv keeps what it learnt about interpreters and plug-ins in module globals without a lock; a turn costs 5 ms.
_one_at_a_time = threading.Lock()


def _make_virtualenv(folder: Path, app_data: Path) -> tuple[Path, ...]:
    """Make an environment without pip; return its site-packages, pure Python first."""
    from virtualenv import session_via_cli

    interpreter = _interpreter()
    arguments = [str(folder), "--python", interpreter, "--app-data", str(app_data)]
    arguments += ["--no-seed", "--activators", "", "--no-periodic-update", "--no-vcs-ignore"]
    try:
        with _one_at_a_time, session_via_cli(arguments, setup_logging=False, env=_plain_environment()) as session:
            session.run()
            return tuple(dict.fromkeys((session.creator.purelib, session.creator.platlib)))
    except (RuntimeError, ValueError, SystemExit) as error:
        raise PackagingFailed(
            f"No environment could be made from the interpreter {interpreter!r}: {error}.", hint="Is it still installed, and complete?"
        ) from error


def _plain_environment() -> dict[str, str]:
    """What virtualenv may see: none of the settings that would change what it makes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUALENV_", "PYTHON"))}
    return kept | {"VIRTUALENV_CONFIG_FILE": os.devnull}


def _refuse_separator(folder: Path) -> None:
    if os.pathsep in str(folder):
        raise PackagingFailed(
            f"The cache folder {str(folder.parent)!r} has {os.pathsep!r} in its name, which no virtual environment can have.",
            hint="Name another folder in ORCHLITE_CACHE.",
        )


def _write_path_file(folder: Path, site_packages: Path) -> None:
    # virtualenv resolves links in the cache's path.
    line = _PATH_LINE.format(site_packages=str(site_packages.relative_to(folder.resolve())))
    (site_packages / _PATH_FILE).write_text(line, encoding="ascii")


def _installed(site_packages: tuple[Path, ...]) -> tuple[str, ...]:
    from importlib.metadata import distributions

    found = distributions(path=[str(folder) for folder in site_packages])
    return tuple(sorted({f"{each.name}=={each.version}" for each in found if each.name}, key=str.casefold))


# What is on disk


def _read_installation(key: str, home: Path) -> Installation | None:
    ready = _read_ready(home)
    if ready is None:
        return None
    folder = home / ready["build"]
    return Installation(key, _python_of(folder), _lock_of(folder), tuple(ready["installed"]))


def _read_ready(home: Path) -> dict[str, Any] | None:
    """The content of `ready.json`; None where it is missing or was not written by this room."""
    try:
        ready = json.loads((home / "ready.json").read_bytes())
        return {"build": str(ready["build"]), "installed": [str(each) for each in ready["installed"]]}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write_ready(home: Path, ready: dict[str, Any]) -> None:
    aside = home / "ready.json.new"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(ready, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(home / "ready.json")
    descriptor = os.open(home, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(home: Path) -> None:
    """Remove every build that is not the one in use, and that nobody holds. The caller has the build lock."""
    ready = _read_ready(home)
    kept = {"lock", "ready.json", "ready.json.new", ready["build"] if ready else ""}
    for build in {path.name.removesuffix(".lock") for path in home.iterdir()} - kept:
        _discard(home / build)


def _discard(folder: Path) -> None:
    lock = _lock_of(folder)
    with _opened(lock) as descriptor:
        if _taken(descriptor):
            _remove(folder)
            lock.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    from shutil import rmtree

    # What cannot be removed is only garbage, and tried again by the next builder.
    rmtree(folder, ignore_errors=True)


@contextmanager
def _device_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind, hint = (StorageFull, "Free some space, or") if full else (DeviceFailed, "Make it writable, or")
        raise kind(
            f"The environment folder {str(folder)!r} cannot be written: {error}.", hint=f"{hint} name another in ORCHLITE_CACHE."
        ) from error


# Locks

_descriptors: set[int] = set()


@contextmanager
def _exclusively(lock: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    with _opened(lock) as descriptor:
        # Polling, because nothing can end a blocking flock of another thread.
        while not _taken(descriptor):
            if cancelled():
                raise WaitTimeout("The wait for another host that builds the same environment was cancelled.")
            sleep(_POLL_SECONDS)
        yield


@contextmanager
def _opened(lock: Path) -> Iterator[int]:
    with _device_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        # In a forked child it is closed already, and its number may be another file's.
        if descriptor in _descriptors:
            _descriptors.discard(descriptor)
            os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _after_fork() -> None:
    """Let go of the parent's locks: a long-lived child would hold them beyond the parent's end."""
    global _one_at_a_time
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
