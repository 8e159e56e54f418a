"""Environments: virtual environments in the cache, each found by what it must contain.

Owns `<cache>/environments`, with one folder for each key:

    <key>/lock            locked (flock, exclusive) by the one host that builds
    <key>/ready.json      names the current build and what is installed in it; written last
    <key>/<build>/        a virtual environment, made in its final place
    <key>/<build>.lock    locked (flock, shared) by everything that uses the build: its runs and its installer

A finished build is read-only, and sealed: `find` does not return one in which a program has changed something, and the next builder
replaces it. `ready.json` has the seal. Builds of orchlite 0.1 have none, and count as intact.

Every attempt to build gets a folder of its own, so that the installer of a killed host, which may still be running, disturbs nothing. A
build that `ready.json` does not name is half-built or replaced: it is never used again, and the next builder removes it if its lock is
free. A replaced build stays until then, because a run that has found it may not have locked it yet.

`remove` unlinks lock files while it holds them: after taking a lock, check that the file is still the one in the folder.

This module makes no virtual environment itself and runs no installer. `build_locks` has the locks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from orchlite.core.errors import DeviceFailed
from orchlite.core.files import fsync_folder, remove_tree
from orchlite.environments import bytecode, pip_in_runs, scripts, seals
from orchlite.environments.build_locks import builder_lock, device_errors, is_linked, opened, try_lock
from orchlite.environments.seals import Seal


class Installation(NamedTuple):
    """An environment that is ready to run in."""

    key: str
    python: Path
    lock: Path
    """The file to lock (flock, shared) while anything runs in the environment."""
    installed: tuple[str, ...]
    """`name==version`, sorted."""

    def site_packages(self) -> list[Path]:
        """Return the folders in which its packages are."""
        return sorted(self.python.parents[1].glob("lib*/*/site-packages"))


class Creator(Protocol):
    """What creates virtual environments: `virtualenvs`, or a stand-in."""

    def interpreter_info(self) -> list[Any]:
        """Return what an environment created here depends on, as JSON."""

    def suits(self, folder: Path) -> bool:
        """Return whether an environment that was created earlier runs on this process's interpreter."""

    def create(self, folder: Path, app_data: Path) -> tuple[Path, ...]:
        """Create an environment without an installer; return its site-packages. `app_data` is a folder for the creator's own cache."""


class BuildFolder(NamedTuple):
    """A build on disk."""

    path: Path
    is_current: bool
    """`ready.json` names it; if False, it is half-built or replaced."""
    used_at: float
    """When a run or an installer last used it: seconds since 1970."""


class Builds:
    """The environments of one cache folder. Safe to use from several threads and processes; creates its folders when needed."""

    def __init__(self, cache: Path, creator: Creator) -> None:
        self._cache = cache
        self._creator = creator
        self._known: dict[str, tuple[tuple[int, int], _Current | None]] = {}
        """By key: inode and time of `ready.json`, and what it said. Every run reads it, and it almost never changes."""
        self._suitable: dict[Path, bool] = {}

    def key(self, requirements: tuple[str, ...], inputs: Sequence[str]) -> str:
        """Return the name of the environment with exactly these requirements on this interpreter: 32 hexadecimal digits.

        `inputs` are the installer and the settings that decide what it installs; they do not count if nothing is to be installed.

        Raises:
            PackagingFailed: this process does not know its interpreter.
        """
        import hashlib

        content = [sorted(set(requirements)), list(inputs) if requirements else None, self._creator.interpreter_info()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def find(self, key: str) -> Installation | None:
        """Return the current build of an environment, or None if there is none, its interpreter has been removed, or its seal is broken.

        Of a large environment each call checks a part of the seal, the first one in this process all of it.
        """
        current = self._current(key)
        # `exists` follows the link to the base interpreter, without which the environment does not work.
        if current is None or not current.installation.python.exists():
            return None
        return None if current.seal.next_change(current.folder) else current.installation

    def change(self, key: str) -> str | None:
        """Return a folder of the current build that a program has changed; None if there is no such build, or it is intact."""
        current = self._current(key)
        return current.seal.change(current.folder) if current is not None and current.folder.exists() else None

    def inputs(self, key: str) -> tuple[str, ...] | None:
        """Return the inputs from which the current build was installed; None if that is not known, as for those of orchlite 0.1."""
        ready = _read_ready(self._key_folder(key))
        return None if ready is None else ready["inputs"]

    def suits_interpreter(self, installation: Installation) -> bool:
        """Return whether an environment, whatever its key, runs on the interpreter of this process."""
        if self._suitable.get(installation.python) is None:
            self._suitable[installation.python] = self._creator.suits(installation.python.parents[1])
        return self._suitable[installation.python]

    @contextmanager
    def building(self, key: str, cancelled: Callable[[], bool], *, refresh: bool = False) -> Iterator[Build]:
        """Be the machine's only builder of this environment while the block runs.

        Blocks while another host builds, polling `cancelled`; what that host finished is then in `Build.found`, unless `refresh` asks for
        a new build. A block that ends without `finish()` leaves nothing behind.

        Raises:
            WaitTimeout: `cancelled` returned true during the wait.
            DeviceFailed: the cache folder cannot be written (`StorageFull`: the disk is full).
        """
        key_folder = self._key_folder(key)
        with builder_lock(key_folder / "lock", cancelled):
            _remove_stale(key_folder)
            build = Build(key, key_folder, self._create, None if refresh else self.find(key), is_refresh=refresh)
            try:
                yield build
            finally:
                build.close()

    def folders(self) -> list[BuildFolder]:
        """Return every build on disk, current or not."""
        try:
            key_folders = sorted((self._cache / "environments").iterdir())
        except OSError:
            return []
        # What lies behind a link is not this cache's to remove.
        return [build for key_folder in key_folders if not key_folder.is_symlink() for build in _build_folders(key_folder)]

    def remove(self, folder: Path) -> bool:
        """Remove a build, and the key's whole folder with its current build; return False if it is in use or its key is being built."""
        lock = folder.with_name("lock")
        if not lock.exists():
            return False
        with suppress(OSError, DeviceFailed), opened(lock) as descriptor:
            return try_lock(descriptor) and is_linked(lock, descriptor) and _remove_build(folder)
        return False

    def _current(self, key: str) -> _Current | None:
        key_folder = self._key_folder(key)
        try:
            status = (key_folder / "ready.json").stat()
        except OSError:
            return None
        stamp = (status.st_ino, status.st_mtime_ns)
        if self._known.get(key, (None, None))[0] != stamp:
            self._known[key] = (stamp, _read_current(key, key_folder))
        return self._known[key][1]

    def _create(self, folder: Path) -> tuple[Path, ...]:
        return self._creator.create(folder, self._cache / "virtualenv")

    def _key_folder(self, key: str) -> Path:
        return self._cache / "environments" / key


class _Current(NamedTuple):
    """The build that `ready.json` names."""

    folder: Path
    installation: Installation
    seal: Seal


class Build:
    """One host's turn at building an environment: `create()`, install, `finish()`; none of these if `found` is set."""

    def __init__(
        self, key: str, key_folder: Path, create: Callable[[Path], tuple[Path, ...]], found: Installation | None, *, is_refresh: bool
    ) -> None:
        self.found = found
        """What another host has finished before this turn."""
        self.is_refresh = is_refresh
        """A new build was asked for, although there may be one."""
        self.key = key
        self.inputs: tuple[str, ...] = ()
        """From which its packages are installed, for `Builds.inputs`."""
        self._key_folder = key_folder
        self._create = create
        self._folder = key_folder / os.urandom(4).hex()
        self._site_packages: tuple[Path, ...] = ()
        self._is_finished = False

    @property
    def python(self) -> Path:
        """The environment's interpreter; exists after `create()`."""
        return _python_of(self._folder)

    @property
    def lock(self) -> Path:
        """The file to lock (flock, shared) while anything runs in this build, the installer included."""
        return _lock_of(self._folder)

    @property
    def site_packages(self) -> tuple[Path, ...]:
        """Where packages are installed; empty before `create()`."""
        return self._site_packages

    @property
    def install_folder(self) -> Path:
        """A folder inside the build for the installer's files; exists from `create()` to `finish()`."""
        return self._folder / "install"

    def create(self) -> Path:
        """Create the environment, with nothing installed; return its interpreter. Called again, it starts from nothing.

        Raises:
            PackagingFailed: the hosting interpreter cannot create one.
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        with device_errors(self._folder):
            self.lock.touch(mode=0o600)
            remove_tree(self._folder)
            self._folder.mkdir(mode=0o700)
            self._site_packages = self._create(self._folder)
            self.install_folder.mkdir(mode=0o700)
        return self.python

    def finish(self) -> Installation:
        """Make this the current build, which `find` returns from now on. Durable when this returns.

        Raises:
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        with device_errors(self._folder):
            remove_tree(self.install_folder)
            (self._folder / ".lock").unlink(missing_ok=True)  # uv locks an environment by this file, and leaves it
            pip_in_runs.add(self.python.parent, self._site_packages[0])
            for module in self._site_packages[0].glob("*.py"):  # virtualenv's own, which every start imports
                with suppress(SyntaxError, ValueError):
                    bytecode.write(module)
            scripts.mend(self.python.parent)
            installed = _installed(self._site_packages)
            seal = seals.close(self._folder)
            if installed:
                _sync_file_system(self._folder)
            _write_ready(
                self._key_folder, {"build": self._folder.name, "installed": installed, "inputs": self.inputs, "seal": seal.entries}
            )
            self._is_finished = True
        return Installation(self.key, self.python, self.lock, installed)

    def close(self) -> None:
        """Remove an unfinished build, unless an installer that could not be killed still works in it."""
        if not self._is_finished and self._folder.exists():
            _discard(self._folder)


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _installed(site_packages: tuple[Path, ...]) -> tuple[str, ...]:
    from importlib.metadata import distributions

    found = distributions(path=[str(folder) for folder in site_packages])
    return tuple(sorted({f"{each.name}=={each.version}" for each in found if each.name}, key=str.casefold))


# --- Files


def _read_current(key: str, key_folder: Path) -> _Current | None:
    ready = _read_ready(key_folder)
    if ready is None:
        return None
    folder = key_folder / ready["build"]
    return _Current(folder, Installation(key, _python_of(folder), _lock_of(folder), tuple(ready["installed"])), ready["seal"])


def _read_ready(key_folder: Path) -> dict[str, Any] | None:
    """Return the content of `ready.json`; None if it is missing or has another shape than `_write_ready` gives it."""
    try:
        ready = json.loads((key_folder / "ready.json").read_bytes())
        inputs = ready.get("inputs")
        return {
            "build": str(ready["build"]),
            "installed": [str(each) for each in ready["installed"]],
            "inputs": None if inputs is None else tuple(str(each) for each in inputs),
            "seal": Seal.from_json(ready.get("seal", ())),
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _write_ready(key_folder: Path, ready: dict[str, Any]) -> None:
    new = key_folder / "ready.json.new"
    with new.open("w", encoding="utf-8") as file:
        json.dump(ready, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(key_folder / "ready.json")
    fsync_folder(key_folder)


def _sync_file_system(folder: Path) -> None:
    """Make all of the folder's file system durable: installers call no fsync, and one for each file would take longer."""
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        getattr(ctypes.CDLL(None), "syncfs", lambda _: os.sync())(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(key_folder: Path) -> None:
    """Remove every build that is neither current nor locked, but nothing behind a link. The caller holds the key's lock."""
    if key_folder.is_symlink():
        return
    ready = _read_ready(key_folder)
    kept = {"lock", "ready.json", "ready.json.new", ready["build"] if ready else ""}
    for build in {path.name.removesuffix(".lock") for path in key_folder.iterdir()} - kept:
        _discard(key_folder / build)


def _discard(folder: Path) -> bool:
    """Remove a build and its lock file; return False if the build is in use. The caller holds the key's lock."""
    lock = _lock_of(folder)
    with opened(lock) as descriptor:
        if not try_lock(descriptor):
            return False
        remove_tree(folder)  # what cannot be removed is garbage, which the next builder tries again
        lock.unlink(missing_ok=True)
        return True


def _build_folders(key_folder: Path) -> Iterator[BuildFolder]:
    ready = _read_ready(key_folder)
    current = ready["build"] if ready else None
    try:
        folders = sorted(path for path in key_folder.iterdir() if path.is_dir())
    except OSError:  # not a folder, or removed meanwhile
        return
    for folder in folders:
        is_current = folder.name == current
        # Runners and installers set the lock file's time while they hold the lock.
        times = [_modified_at(path) for path in (_lock_of(folder), folder, *([key_folder / "ready.json"] if is_current else []))]
        yield BuildFolder(folder, is_current, max(times))


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove_build(folder: Path) -> bool:
    """Remove a build whose key's lock the caller holds."""
    key_folder = folder.parent
    ready = _read_ready(key_folder)
    if not ready or ready["build"] != folder.name:
        return _discard(folder)
    removed = key_folder / "ready.json.removed"
    (key_folder / "ready.json").rename(removed)  # first, so that no run finds the build any more
    if not _discard(folder):
        removed.rename(key_folder / "ready.json")
        return False
    _remove_stale(key_folder)
    if not any(path.is_dir() for path in key_folder.iterdir()):  # a replaced build may still be in use
        remove_tree(key_folder)
    return True
