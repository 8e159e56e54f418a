"""Environments, as the hands see them: one object over the rooms that build them, fill them, and know what lies below and above.

Only puts them together: `environment.py` builds and finds, `installer.py` says how to install, `shared_folders.py` keeps the
installer and the in-task copy, `host_packages.py` looks at the host. Whoever replaces environments in a test replaces this object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import BadArgument, PackagingFailed
from orchlite.core.files import tree_size_bytes
from orchlite.core.records import Installation
from orchlite.environments import host_packages, uv_program, uv_rules
from orchlite.environments import installers as installer
from orchlite.environments import task_files as shared_folders
from orchlite.environments import virtualenvs as virtual_environment
from orchlite.environments.builds import Build, Builds
from orchlite.environments.host_packages import HostPackages
from orchlite.environments.installers import InstallOrder, InstallPlace

INSTALLERS = ("auto", "pip", "uv")

_NO_UV = f"There is no uv of version {'.'.join(map(str, uv_rules.OLDEST))} or newer on PATH, nor beside this interpreter."
_GET_UV = "Install it (pip install uv), or use installer='auto' or 'pip'."


def check_installer(name: str) -> None:
    """Raise BadArgument where the named installer is not there."""
    program = uv_program.find() if name == "uv" else None
    if name == "uv" and (program is None or not _is_new_enough(uv_program.version(program))):
        raise BadArgument(_NO_UV, hint=_GET_UV, argument="installer")


def _is_new_enough(version: str | None) -> bool:
    return version is not None and tuple(map(int, version.split(".")[:2])) >= uv_rules.OLDEST


class Unused(NamedTuple):
    """A folder of the cache that nobody has used for a while."""

    path: Path
    size_bytes: int
    last_used: datetime
    """When it was used or, where nobody ever did, made; aware, UTC."""


class Environments:
    """The environments of one cache folder. Makes its folders when it needs them."""

    def __init__(self, cache: Path, *, installer: str = "auto", index_urls: tuple[str, ...] = ()) -> None:
        """`installer`: `pip`, `uv`, or `auto`: uv where there is one that would install from the same places as pip."""
        self.cache = cache
        """The folder."""
        self._installer = installer
        self._index_urls = index_urls
        self._builds = Builds(cache, virtual_environment)
        self._keys: dict[tuple[str, ...], str] = {}
        self._programs: dict[tuple[str, ...], _Program] = {}

    def key(self, requirements: tuple[str, ...]) -> str:
        """Name the environment that has exactly these needs on this interpreter.

        Raises:
            PackagingFailed: this process does not know its interpreter, or there is no installer.
        """
        if requirements not in self._keys:  # every run asks, and nothing that it depends on changes in a process
            identity = self._program(requirements).identity if requirements else ""
            self._keys[requirements] = self._builds.key(requirements, identity)
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
            yield Building(build, partial(self._order, refresh=refresh))

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
        return shared_folders.place_sdk(self.cache)

    def unused_since(self, cutoff: datetime) -> list[Unused]:
        """The environments that nobody has used since then, and those that were replaced or left half-built, since whenever.

        With them the copies of orchlite and of installers that others than this process have placed, and that nobody has used since.
        """
        limit = cutoff.timestamp()
        builds = [(build.folder, build.used_at) for build in self._builds.all() if not build.is_in_use or build.used_at < limit]
        shared = [
            (folder, used_at)
            for folder, used_at in shared_folders.others(self.cache, virtual_environment.embedded_pip())
            if used_at < limit
        ]
        return [Unused(folder, tree_size_bytes(folder), datetime.fromtimestamp(used_at, UTC)) for folder, used_at in (*builds, *shared)]

    def remove(self, path: Path) -> bool:
        """Remove what `unused_since` named; False where it is in use by now, or cannot be removed."""
        return shared_folders.remove(path) if path.parent.parent == self.cache else self._builds.remove(path)

    def _program(self, requirements: tuple[str, ...]) -> _Program:
        """Chosen once, so that what the key says is what installs."""
        if requirements not in self._programs:
            self._programs[requirements] = self._chosen(requirements)
        return self._programs[requirements]

    def _chosen(self, requirements: tuple[str, ...]) -> _Program:
        uv = self._uv(requirements) if self._installer != "pip" else None
        if uv is not None:
            return uv
        if self._installer == "uv":
            raise PackagingFailed(_NO_UV, hint=_GET_UV)
        wheel = virtual_environment.embedded_pip()
        return _Program(installer.identity(wheel), wheel, is_uv=False)

    def _uv(self, requirements: tuple[str, ...]) -> _Program | None:
        """uv, where there is one, and (for `auto`) it would do what pip does."""
        if self._installer == "auto" and not self._fits_uv(requirements):
            return None
        program = uv_program.find()
        version = uv_program.version(program) if program else None
        return _Program(f"uv {version}", program, is_uv=True) if program and _is_new_enough(version) else None

    def _fits_uv(self, requirements: tuple[str, ...]) -> bool:
        if not uv_rules.accepts(requirements):
            return False
        return self._has_own_sources() or uv_rules.is_without_loss(installer.settings(self._index_urls))

    def _has_own_sources(self) -> bool:
        """Whether uv's own variables say where packages come from, and no index is given here."""
        return not self._index_urls and uv_rules.has_own_sources(os.environ)

    def _order(self, place: InstallPlace, requirements: tuple[str, ...], *, refresh: bool) -> InstallOrder:
        program = self._program(requirements)
        settings = installer.settings(self._index_urls)
        if program.is_uv:
            own_sources = self._has_own_sources()
            return installer.uv_order(program.path, place, requirements, settings, own_sources=own_sources, refresh=refresh)
        return installer.pip_order(shared_folders.place_installer(self.cache, program.path), place, requirements, settings)


class _Program(NamedTuple):
    identity: str
    """Its name and version."""
    path: Path
    """Of uv, or of pip's wheel."""
    is_uv: bool


class Building:
    """One host's turn at building an environment: `make()`, install, `finish()`; nothing at all where `found` is set."""

    def __init__(self, build: Build, order: Callable[[InstallPlace, tuple[str, ...]], InstallOrder]) -> None:
        self._build = build
        self._order = order

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

    def install_order(self, requirements: tuple[str, ...]) -> InstallOrder:
        """Prepare the installation into the environment that was made; the caller has it run.

        Raises:
            PackagingFailed: a configuration file of pip cannot be read.
            OSError: the cache cannot be written.
        """
        return self._order(InstallPlace(self._build.python, self._build.install_folder, self._build.lock), requirements)

    def finish(self) -> Installation:
        """Declare the environment complete: from now on `find` returns it. Durable.

        Raises:
            DeviceFailed: the folder cannot be written (`StorageFull`: the disk is full).
        """
        # uv locks the environment by a file in it, and leaves that there.
        self._build.install_folder.with_name(".lock").unlink(missing_ok=True)
        return self._build.finish()
