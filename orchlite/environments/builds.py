"""Environments: virtual environments in the cache, found by what they must contain.

Owns `<cache>/environments`, with one folder for each key:

    <key>/lock            held (flock, exclusive) by the one host that builds
    <key>/ready.json      names the build in use, and what is installed in it; written last
    <key>/<build>/        a virtual environment, made in its final place
    <key>/<build>.lock    held (flock, shared) by whoever uses that build: its runs and its installer

Every attempt to build gets a folder of its own, so a killed host's installer that has not died yet disturbs nobody. A build that
`ready.json` does not name is half-built or replaced: it is never used again, and the next builder removes it if its lock is free. A
replaced one stays until then, because a run that found it may be on its way to the lock.

Nobody takes a build's lock without looking whether it is still there: `remove` unlinks it while it holds it, and the key's as well.

This room makes no virtual environment itself, runs no installer and knows none; what an installer needs travels through the caller.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple, Protocol

from orchlite.core.errors import DeviceFailed, StorageFull, WaitTimeout
from orchlite.core.files import fsync_folder, is_disk_full, lock_descriptor, make_private_folders, remove_tree
from orchlite.core.records import Installation

_POLL_SECONDS = 0.02


class Maker(Protocol):
    """What makes virtual environments."""

    def facts(self) -> list[Any]:
        """What an environment made here depends on, as JSON."""

    def make(self, folder: Path, app_data: Path) -> tuple[Path, ...]:
        """Make an environment without an installer; return its site-packages. `app_data` is a folder for what it wants to keep."""


class FoundBuild(NamedTuple):
    """A build as it lies on the disk."""

    folder: Path
    is_in_use: bool
    """`ready.json` names it; if not, it is half-built or replaced."""
    used_at: float
    """When a run or an installer used it for the last time: seconds since 1970."""


class Builds:
    """The environments of one cache folder. Safe to use from several threads and processes; makes its folders when it needs them."""

    def __init__(self, cache: Path, maker: Maker) -> None:
        self._cache = cache
        self._maker = maker
        self._known: dict[str, tuple[tuple[int, int], Installation | None]] = {}
        """What `ready.json` said, by key, with its inode and time: every run looks, and it almost never changes."""

    def key(self, requirements: tuple[str, ...], installer: str) -> str:
        """Name the environment that has exactly these needs on this interpreter: 32 hexadecimal digits.

        `installer` is its name and version; it does not count where nothing is to be installed.

        Raises:
            PackagingFailed: this process does not know its interpreter.
        """
        import hashlib

        needs = [sorted(set(requirements)), installer if requirements else None, self._maker.facts()]
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
        with _exclusively(home / "lock", cancelled):
            _sweep(home)
            build = Build(
                key, home, lambda folder: self._maker.make(folder, self._cache / "virtualenv"), None if refresh else self.find(key)
            )
            try:
                yield build
            finally:
                build.leave()

    def all(self) -> list[FoundBuild]:
        """Every build on the disk, in use or not."""
        try:
            homes = sorted((self._cache / "environments").iterdir())
        except OSError:
            return []
        return [found for home in homes for found in _builds_of(home)]

    def remove(self, folder: Path) -> bool:
        """Remove a build, and with the one in use its key's whole folder; False where anybody uses it or builds for its key."""
        home = folder.parent
        if not (home / "lock").exists():
            return False
        with suppress(OSError, DeviceFailed), _opened(home / "lock") as key_lock:
            return _taken(key_lock) and _is_still(home / "lock", key_lock) and _remove_build(home, folder)
        return False

    def _home(self, key: str) -> Path:
        return self._cache / "environments" / key


class Build:
    """One host's turn at building an environment: `make()`, install, `finish()`; nothing at all where `found` is set."""

    def __init__(self, key: str, home: Path, make: Callable[[Path], tuple[Path, ...]], found: Installation | None) -> None:
        self.found = found
        self._key = key
        self._home = home
        self._make = make
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
        with _device_errors(self._folder):
            self.lock.touch(mode=0o600)
            self._folder.mkdir(mode=0o700)
            self._site_packages = self._make(self._folder)
            self.install_folder.mkdir(mode=0o700)
        return self.python

    def finish(self) -> Installation:
        """Declare the build complete: from now on `find` returns it. Durable.

        Raises:
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        with _device_errors(self._folder):
            remove_tree(self.install_folder)
            installed = _installed(self._site_packages)
            if installed:
                _sync_file_system(self._folder)
            _write_ready(self._home, {"build": self._folder.name, "installed": installed})
            self._finished = True
        return Installation(self._key, self.python, self.lock, installed)

    def leave(self) -> None:
        """Remove what was not finished, unless an installer that could not be ended still works in it."""
        if not self._finished and self._folder.exists():
            _discard(self._folder)


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


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
    fsync_folder(home)


def _sync_file_system(folder: Path) -> None:
    """Make everything on the folder's file system durable: installers do not, and one fsync for each file would take longer."""
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        getattr(ctypes.CDLL(None), "syncfs", lambda _: os.sync())(descriptor)
    finally:
        os.close(descriptor)


def _sweep(home: Path) -> None:
    """Remove every build that is not the one in use, and that nobody holds. The caller has the build lock."""
    ready = _read_ready(home)
    kept = {"lock", "ready.json", "ready.json.new", ready["build"] if ready else ""}
    for build in {path.name.removesuffix(".lock") for path in home.iterdir()} - kept:
        _discard(home / build)


def _discard(folder: Path) -> bool:
    """Remove a build and its lock; False where somebody holds it. The caller has the key's lock."""
    lock = _lock_of(folder)
    with _opened(lock) as descriptor:
        if not _taken(descriptor):
            return False
        remove_tree(folder)  # what stays is garbage, and the next builder tries again
        lock.unlink(missing_ok=True)
        return True


def _builds_of(home: Path) -> Iterator[FoundBuild]:
    ready = _read_ready(home)
    named = ready["build"] if ready else None
    for folder in sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else ():
        # The file's time: an installer or a run that holds the lock sets it.
        times = [_time_of(path) for path in (_lock_of(folder), folder, *([home / "ready.json"] if folder.name == named else []))]
        yield FoundBuild(folder, folder.name == named, max(times))


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove_build(home: Path, folder: Path) -> bool:
    """The caller has the key's lock."""
    ready = _read_ready(home)
    if not ready or ready["build"] != folder.name:
        return _discard(folder)
    aside = home / "ready.json.removed"
    (home / "ready.json").rename(aside)  # first, so that from now on nobody finds the build
    if not _discard(folder):
        aside.rename(home / "ready.json")
        return False
    _sweep(home)
    if not any(path.is_dir() for path in home.iterdir()):  # a replaced build may be at work still
        remove_tree(home)
    return True


@contextmanager
def _device_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind, hint = (StorageFull, "Free some space, or") if is_disk_full(error) else (DeviceFailed, "Make it writable, or")
        raise kind(
            f"The environment folder {str(folder)!r} cannot be written: {error}.", hint=f"{hint} name another in ORCHLITE_CACHE."
        ) from error


# Locks


@contextmanager
def _exclusively(lock: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock while the block lasts, whatever is removed meanwhile; its folder is made as needed."""
    while True:
        with _opened(lock) as descriptor:
            # Polling, because nothing can end a blocking flock of another thread.
            while not _taken(descriptor):
                if cancelled():
                    raise WaitTimeout("The wait for another host that builds the same environment was cancelled.")
                sleep(_POLL_SECONDS)
            if _is_still(lock, descriptor):
                yield
                return


def _open(lock: Path) -> int:
    home = lock.parent
    with _device_errors(home):
        while True:
            make_private_folders(home.parents[1], home.parent, home)
            with suppress(FileNotFoundError):  # removed between the two steps
                return os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)


def _is_still(lock: Path, descriptor: int) -> bool:
    """Whether the file that is held is the one that others will find."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _opened(lock: Path) -> Iterator[int]:
    with lock_descriptor(_open(lock)) as descriptor:
        yield descriptor


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
