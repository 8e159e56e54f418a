"""Environments, as the hands see them: one object over the rooms that build them, fill them, and know what lies below and above.

Only puts them together: `environment.py` builds and finds, `installer.py` says how to install, `shared_folders.py` keeps the
installer and the in-task copy, `host_packages.py` looks at the host. Whoever replaces environments in a test replaces this object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchlite import host_packages, installer, shared_folders
from orchlite.environment import Build, Builds, embedded_pip
from orchlite.host_packages import HostPackages
from orchlite.installer import InstallOrder, InstallPlace
from orchlite.records import Installation


class Environments:
    """The environments of one cache folder. Makes its folders when it needs them."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._builds = Builds(cache)
        self._keys: dict[tuple[str, ...], str] = {}

    def key(self, requirements: tuple[str, ...]) -> str:
        """Name the environment that has exactly these needs on this interpreter.

        Raises:
            PackagingFailed: this process does not know its interpreter, or there is no installer.
        """
        if requirements not in self._keys:  # every run asks, and nothing that it depends on changes in a process
            self._keys[requirements] = self._builds.key(requirements, installer.identity(embedded_pip()) if requirements else "")
        return self._keys[requirements]

    def find(self, key: str) -> Installation | None:
        """Look for a finished environment whose interpreter is still there."""
        return self._builds.find(key)

    @contextmanager
    def building(self, key: str, cancelled: Callable[[], bool], *, refresh: bool = False) -> Iterator[Building]:
        """Be the only builder of this environment, on the whole machine, while the block lasts.

        Blocks while another builds; what that one finished is then in `Building.found`, unless `refresh` asks for a new build.
        A block that ends without `finish()` leaves nothing behind.

        Raises:
            WaitTimeout: `cancelled` became true during the wait.
            DeviceFailed: the cache folder cannot be written (`StorageFull`: the disk is full).
        """
        with self._builds.building(key, cancelled, refresh=refresh) as build:
            yield Building(self._cache, build)

    def host_packages(self) -> HostPackages:
        """Tell which folders of the hosting interpreter a run on the base image `host` sees."""
        return host_packages.directories()

    def conflicts(self, installed: tuple[str, ...], directories: tuple[str, ...]) -> tuple[str, ...]:
        """Warn of every host package whose requirements something of `installed` does not meet."""
        return host_packages.conflicts(installed, directories)

    def sdk(self) -> Path:
        """Place the in-task copy of orchlite, or find it; return the folder for a task's path.

        Raises:
            OSError: the cache cannot be written.
        """
        return shared_folders.place_sdk(self._cache)


class Building:
    """One host's turn at building an environment: `make()`, install, `finish()`; nothing at all where `found` is set."""

    def __init__(self, cache: Path, build: Build) -> None:
        self._cache = cache
        self._build = build

    @property
    def found(self) -> Installation | None:
        """What another host finished before this turn came."""
        return self._build.found

    def make(self) -> Path:
        """Make the environment, empty; return its interpreter.

        Raises:
            PackagingFailed: the hosting interpreter cannot make one.
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        return self._build.make()

    def install_order(self, requirements: tuple[str, ...], index_urls: tuple[str, ...] = ()) -> InstallOrder:
        """Prepare the installation into the environment that was made; the caller has it run.

        Raises:
            PackagingFailed: a configuration file of pip cannot be read.
            OSError: the cache cannot be written.
        """
        program = shared_folders.place_installer(self._cache, embedded_pip())
        place = InstallPlace(self._build.python, self._build.install_folder, self._build.lock)
        return installer.order(program, place, requirements, index_urls=index_urls)

    def finish(self) -> Installation:
        """Declare the environment complete: from now on `find` returns it. Durable.

        Raises:
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        return self._build.finish()
