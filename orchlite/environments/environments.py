"""Environments as the other packages use them: one object over the modules that build them, fill them, and describe the host.

It only combines: `builds` builds and finds, `installers` gives the commands, `task_files` keeps pip and the in-task copy of orchlite,
`host_packages` reads what the host has installed. A test that replaces environments replaces this object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from orchlite.core.errors import BadArgument, PackagingFailed
from orchlite.core.files import tree_size_bytes
from orchlite.environments import host_packages, pip_config, store_references, task_files, uv, virtualenvs
from orchlite.environments.builds import Build, Builds, Installation
from orchlite.environments.host_packages import HostPackages
from orchlite.environments.installers import InstallCommand, InstallTarget, pip_command, pip_identity, uv_command
from orchlite.environments.store_references import StoreReference

INSTALLERS = ("auto", "pip", "uv")

_NO_INDEX = ("no-index", "UV_NO_INDEX")
_NO_UV = f"There is no uv of version {'.'.join(map(str, uv.MINIMUM_VERSION))} or newer on PATH, nor beside this interpreter."
_GET_UV = "Install it (pip install uv), or use installer='auto' or 'pip'."


def check_installer(name: str) -> None:
    """Check that the installer is available, if it is named explicitly.

    Raises:
        BadArgument: `name` is `uv`, and there is none, or only an old one.
    """
    program = uv.find() if name == "uv" else None
    if name == "uv" and (program is None or not uv.is_new_enough(uv.version(program))):
        raise BadArgument(_NO_UV, hint=_GET_UV, argument="installer")


class UnusedFolder(NamedTuple):
    """A folder of the cache that has not been used for a while."""

    path: Path
    size_bytes: int


class Environments:
    """The environments of one cache folder. Safe to use from several threads and processes; creates its folders when needed."""

    def __init__(self, cache: Path, *, installer: str = "auto", index_urls: tuple[str, ...] = ()) -> None:
        """Use the cache folder `cache`, which need not exist.

        `installer` is `pip`, `uv` or `auto`: uv, if there is one that would install from the same places as pip. `index_urls` replace
        the indexes that pip is configured with.
        """
        self.cache = cache
        self._installer_name = installer
        self._index_urls = index_urls
        self._builds = Builds(cache, virtualenvs)
        self._plans: dict[str, _Plan] = {}
        """By key: what is installed from is what the key was made of, although a configuration file may change meanwhile."""

    def key(self, requirements: tuple[str, ...], recorded: tuple[str, ...] = ()) -> str:
        """Return the name of the environment with exactly these requirements, on this interpreter, from the indexes that apply now.

        With `recorded`, the versions to install, it is another environment, whatever is in the one without them.

        Raises:
            PackagingFailed: this process does not know its interpreter, there is no installer, or pip's configuration cannot be read.
        """
        if not requirements:
            return self._builds.key((), ())
        plan = self._plan(requirements)
        key = self._builds.key((*requirements, *(f"--constraint {version}" for version in recorded)), plan.inputs)
        self._plans[key] = plan
        return key

    def find(self, key: str) -> Installation | None:
        """Return the finished environment, or None if there is none or its interpreter has been removed."""
        return self._builds.find(key)

    def change(self, key: str) -> str | None:
        """Return a folder of the environment that a program has changed since it was built; None if there is none, or it is intact."""
        return self._builds.change(key)

    def changes(self) -> list[str]:
        """Return one changed folder for each environment of the cache that a program has changed."""
        keys = {build.path.parent.name for build in self._builds.folders() if build.is_current}
        return [change for key in sorted(keys) if (change := self.change(key))]

    def find_recorded(self, key: str | None) -> Installation | None:
        """Return the environment that an orchestration has recorded, if it exists and runs on this interpreter.

        It stays valid whatever has changed since in what keys are made of: an upgrade of orchlite, pip or uv must not need an index for
        what ran before.

        Raises:
            PackagingFailed: this process does not know its interpreter.
        """
        found = self.find(key) if key else None
        return found if found is not None and self._builds.suits_interpreter(found) else None

    def has_other_sources(self, key: str | None, requirements: tuple[str, ...]) -> bool:
        """Return whether an environment is known to be installed from other indexes than those that apply now.

        Without an index, as offline, no environment has: it is better than none.

        Raises:
            PackagingFailed: there is no installer, or pip's configuration cannot be read.
        """
        recorded = self._builds.inputs(key) if key and requirements else None
        if recorded is None:
            return False
        sources = self._plan(requirements).inputs[1:]
        return recorded[1:] != sources and not any(source.startswith(_NO_INDEX) for source in sources)

    def building(self, key: str, cancelled: Callable[[], bool], *, refresh: bool = False) -> AbstractContextManager[Build]:
        """Be the machine's only builder of this environment while the block runs; see `Builds.building`.

        Raises:
            WaitTimeout: `cancelled` returned true during the wait.
            DeviceFailed: the cache folder cannot be written (`StorageFull`: the disk is full).
        """
        return self._builds.building(key, cancelled, refresh=refresh)

    def install_command(
        self, build: Build, requirements: tuple[str, ...], recorded: tuple[str, ...] = (), *, use_pip: bool = False
    ) -> InstallCommand:
        """Return the command that installs into a created build. Writes its files, so call it once after each `create()`.

        `recorded`: the versions to install, `name==version`. `use_pip`: pip installs although uv was chosen.

        Raises:
            PackagingFailed: there is no installer, or a configuration file of pip cannot be read.
            OSError: the cache cannot be written.
        """
        target = InstallTarget(build.python, build.install_folder, build.lock, recorded)
        plan = self._plans.get(build.key) or self._plan(requirements)
        installer, build.inputs = plan.installer, plan.inputs
        if installer.is_uv and not use_pip:
            uv_indexes = self._uses_uv_indexes()
            return uv_command(installer.path, target, requirements, plan.options, uv_indexes=uv_indexes, refresh=build.is_refresh)
        wheel = virtualenvs.embedded_pip() if installer.is_uv else installer.path
        return pip_command(task_files.place_pip(self.cache, wheel), target, requirements, plan.options)

    def may_use_pip(self, requirements: tuple[str, ...]) -> bool:
        """Return whether pip installs where uv refuses, or installs something else: uv was not asked for by name, nor by its variables."""
        return self._installer_name == "auto" and not self._uses_uv_indexes() and self._plan(requirements).installer.is_uv

    def difference_from_pip(self, build: Build, requirements: tuple[str, ...]) -> str | None:
        """Return what uv has installed and pip would not have, or None if nothing is known."""
        from orchlite.environments import pip_parity  # its imports would cost every client

        return pip_parity.difference(build.site_packages, requirements)

    def host_packages(self) -> HostPackages:
        """Return the folders of the hosting interpreter that a run on the base image `host` sees."""
        return host_packages.find()

    def host_versions(self, directories: tuple[str, ...]) -> tuple[str, ...]:
        """Return the packages in these folders as sorted lines `name==version`."""
        return host_packages.versions(directories)

    def conflicts(self, installed: tuple[str, ...], directories: tuple[str, ...]) -> tuple[str, ...]:
        """Return a warning for each requirement of a host package that a version in `installed` does not meet."""
        return host_packages.conflicts(installed, directories)

    def sdk(self) -> Path:
        """Place the in-task copy of orchlite in the cache, if it is not there; return the folder for a task's path.

        Raises:
            OSError: the cache cannot be written.
            ModuleNotFoundError: the library `packaging` is not installed.
        """
        return task_files.place_sdk(self.cache)

    def unused_since(self, cutoff: datetime) -> list[UnusedFolder]:
        """Return what has not been used since `cutoff`, aware: environments, and copies of orchlite and pip of other versions.

        Replaced and half-built environments are returned whenever they were used.

        Raises:
            PackagingFailed: virtualenv has no pip for this Python.
            ModuleNotFoundError: the library `packaging` is not installed.
        """
        limit = cutoff.timestamp()
        builds = [build.path for build in self._builds.folders() if not build.is_current or build.used_at < limit]
        copies = [path for path, used_at in task_files.other_versions(self.cache, virtualenvs.embedded_pip()) if used_at < limit]
        return [UnusedFolder(path, tree_size_bytes(path)) for path in (*builds, *copies)]

    def remove(self, path: Path) -> bool:
        """Remove a folder that `unused_since` returned; return False if it is in use by now, or cannot be removed."""
        return task_files.remove(path) if path.parent.parent == self.cache else self._builds.remove(path)

    def add_store(self, store: Path) -> None:
        """Leave a reference to the store in the cache, so that no prune of another store removes the environments that it needs.

        Does nothing if the cache cannot be written: then nothing can be removed from it either.
        """
        with suppress(OSError):
            store_references.add(self.cache, store)

    def other_stores(self, store: Path) -> list[StoreReference]:
        """Return the references to other stores than this one that use the cache, gone or not."""
        return store_references.others(self.cache, store)

    def _plan(self, requirements: tuple[str, ...]) -> _Plan:
        installer, options = self._choose(requirements), pip_config.options(self._index_urls)
        if not installer.is_uv:
            sources = pip_config.sources(options)
        elif self._uses_uv_indexes():
            sources = uv.sources(os.environ, with_indexes=True)
        else:
            sources = (*pip_config.sources(options), *uv.sources(os.environ, with_indexes=False))
        return _Plan(installer, options, (installer.identity, *sources))

    def _choose(self, requirements: tuple[str, ...]) -> _Installer:
        found = self._find_uv(requirements) if self._installer_name != "pip" else None
        if found is not None:
            return found
        if self._installer_name == "uv":
            raise PackagingFailed(_NO_UV, hint=_GET_UV)
        wheel = virtualenvs.embedded_pip()
        return _Installer(pip_identity(wheel), wheel, is_uv=False)

    def _find_uv(self, requirements: tuple[str, ...]) -> _Installer | None:
        if self._installer_name == "auto" and not self._suits_uv(requirements):
            return None
        program = uv.find()
        version = uv.version(program) if program else None
        if program is None or not uv.is_new_enough(version):
            return None
        # What is installed by either is pip's result, which uv by name does not promise.
        identity = f"uv {version} as pip" if self._installer_name == "auto" else f"uv {version}"
        return _Installer(identity, program, is_uv=True)

    def _suits_uv(self, requirements: tuple[str, ...]) -> bool:
        """Return whether uv would install what pip installs."""
        if not uv.supports_requirements(requirements):
            return False
        return self._uses_uv_indexes() or uv.supports_options(pip_config.options(self._index_urls))

    def _uses_uv_indexes(self) -> bool:
        """Return whether uv's own variables say where packages come from, and no `index_urls` override them."""
        return not self._index_urls and uv.configures_indexes(os.environ)


class _Plan(NamedTuple):
    """How an environment is installed."""

    installer: _Installer
    options: Mapping[str, str]
    """pip's options."""
    inputs: tuple[str, ...]
    """What enters the key: the installer's identity, then the sources, credentials masked."""


class _Installer(NamedTuple):
    identity: str
    """Name and version."""
    path: Path
    """uv itself, or the wheel of pip."""
    is_uv: bool
