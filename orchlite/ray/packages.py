"""Sends the packages of jobs to a cluster: each content once, as long as the cluster keeps it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from orchlite.ray.jobs_api import JobsApi

_EMPTY_ZIP = b"PK\5\6" + bytes(18)
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

    def send(self, session: str, key: str, content: Callable[[], bytes]) -> str:
        """Return the name of a package that the cluster has now; upload it if it is missing. `key` says what the content is."""
        name = self._names.get(key)
        if name is not None and self._is_known(session, name):
            return name
        data = content()
        name = f"_ray_pkg_{hashlib.sha256(data).hexdigest()}.zip"
        if not self._api.has_package(name):
            self._api.upload_package(name, data)
        with self._lock:
            self._names[key] = name
            self._known[session, name] = time.monotonic()
        return name

    def send_document(self, job_id: str, content: bytes) -> str:
        """Return the name of the package of one job alone; upload it if it is missing."""
        name = _of_job(job_id)
        if not self._api.has_package(name):
            self._api.upload_package(name, content)
        return name

    def empty_document(self, job_id: str) -> None:
        """Put an empty package in place of the job's: a node that has not fetched that finds nothing to execute."""
        self._api.upload_package(_of_job(job_id), _EMPTY_ZIP)

    def _is_known(self, session: str, name: str) -> bool:
        with self._lock:
            now = time.monotonic()
            self._known = {package: at for package, at in self._known.items() if now - at < _KNOWN_SECONDS}
            return (session, name) in self._known


def _of_job(job_id: str) -> str:
    return f"_ray_pkg_{job_id}.zip"
