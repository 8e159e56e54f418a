"""Sends the packages of jobs to a cluster: each content once, as long as the cluster keeps it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from orchlite.ray.jobs_api import JobsApi

_KNOWN_SECONDS = 300.0
"""The cluster keeps a package for ten minutes after it was asked for, and then as long as a job uses it."""


class Packages:
    """What a cluster has, as far as this host knows. Thread-safe."""

    def __init__(self, api: JobsApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], float] = {}
        """When a package was last asked for, by the cluster's session and its name."""
        self._names: dict[str, str] = {}
        """The names of packages whose content is known by a key."""

    def send(self, session: str, key: str | None, content: Callable[[], bytes]) -> str:
        """Return the name of a package that the cluster has now; upload it if it is missing.

        `key` says what the content is, so that it is not made again for its name; None: it is different each time.
        """
        name = None if key is None else self._names.get(key)
        if name is not None and self._is_known(session, name):
            return name
        data = content()
        name = f"_ray_pkg_{hashlib.sha256(data).hexdigest()}.zip"
        if not self._api.has_package(name):
            self._api.upload_package(name, data)
        if key is not None:
            with self._lock:
                self._names[key] = name
                self._known[session, name] = time.monotonic()
        return name

    def _is_known(self, session: str, name: str) -> bool:
        with self._lock:
            now = time.monotonic()
            self._known = {package: at for package, at in self._known.items() if now - at < _KNOWN_SECONDS}
            return (session, name) in self._known
