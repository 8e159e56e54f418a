"""Whether this machine and a store can run things, for the command line and the page. It only reads."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchlite.client.client import Client
from orchlite.core.clock import SystemClock
from orchlite.core.errors import OrchliteError
from orchlite.core.files import is_folder
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Api, Phrase
from orchlite.core.sizes import size_text
from orchlite.core.text import counted

if TYPE_CHECKING:
    from orchlite.operations.integrity import Finding, Progress

_INDEX_TIMEOUT_SECONDS = 5.0
_OLD = timedelta(days=30)
_AHEAD = timedelta(minutes=1)
_LITTLE_BYTES = 1024**3
OK, WARNING, BAD = "ok", "warning", "bad"


class Check(NamedTuple):
    """The result of a check: {name, state, words}. `state` is `ok`, `warning` or `bad`; `words` may mention the Python API, as hints do."""

    name: str
    state: str
    words: str


def checks(
    folder: StoreFolder, client: Client | None = None, *, offline: bool = False, quick: bool = False, progress: Progress | None = None
) -> dict[str, Callable[[], list[Check]]]:
    """Return the checks by what they check. Each blocks until it is done, and returns what it found; none raises.

    client: an open client of this store. Without one, the store is opened for its check, if there is one.
    offline: leave out the package index.
    quick, progress: as for `Client.check`.
    """
    found: dict[str, Callable[[], Iterator[Check]]] = {
        "interpreter": _interpreter,
        "installation": _installation,
        "store": partial(_store, folder, client, quick, progress),
        "environments": _environments,
        "installer": _installer,
        "index": _index,
        "clock": _clock,
        "leftovers": _leftovers,
    }
    return {name: partial(_results, name, check) for name, check in found.items() if not (offline and name == "index")}


def _results(name: str, check: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(check())
    except (OrchliteError, OSError) as error:
        return [Check(name, BAD, error.args[0] if isinstance(error, OrchliteError) else str(error))]


def _interpreter() -> Iterator[Check]:
    yield Check("interpreter", OK, f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}")
    from orchlite.environments import virtualenvs

    virtualenvs.interpreter_info()  # raises PackagingFailed if no environment can be made from it
    if platform.system() != "Linux":
        yield Check("interpreter", WARNING, "On this system, processes that leave the session of their run are not ended with it.")


def _installation() -> Iterator[Check]:
    from orchlite.core.version import VERSION

    yield Check("installation", OK, f"orchlite {VERSION} at {Path(__file__).parents[1]}")
    for folder in (Path(entry, "orchlite") for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")):
        if folder.is_dir() and not (folder / "__init__.py").exists():  # pip leaves bytecode that pytest compiled
            words = "is a remnant of an earlier installation, and hides an editable one. Remove it."
            yield Check("installation", WARNING, f"{folder} {words}")


def _store(folder: StoreFolder, opened: Client | None, quick: bool, progress: Progress | None) -> Iterator[Check]:
    from orchlite.core import private_folders

    if not folder.database.exists():
        yield Check("store", OK, f"There is none at {folder.path}.")
        return
    for path in private_folders.exposed_folders(folder.path, "the store", allow_foreign_owner=private_folders.allows_foreign_owner()):
        yield Check("store", WARNING, f"Other accounts could write in {path}, which is closed to them now.")
    with _opened(folder, opened) as client:
        newest = client.list_runs(limit=1)
        written_at = newest[0].created_at() if newest else None
        findings = client.check(quick=quick, progress=progress)
    wrong = [finding for finding in findings if finding.kind != "leftover"]
    yield from (Check("store", BAD, _finding_text(finding)) for finding in wrong)
    if not wrong:
        yield Check("store", OK, f"{folder.path} is intact" + (", as far as a quick check sees." if quick else "."))
    yield from (Check("leftovers", WARNING, _finding_text(finding)) for finding in findings if finding.kind == "leftover")
    if written_at is not None and written_at - SystemClock().now() > _AHEAD:
        yield Check(
            "clock", BAD, f"The store has a run of {written_at:%Y-%m-%d %H:%M} UTC, which is in the future: the clock was set back."
        )
    yield from _disk(folder.path)


@contextmanager
def _opened(folder: StoreFolder, client: Client | None) -> Iterator[Client]:
    if client is not None:
        yield client
        return
    client = Client(folder.path)
    try:
        yield client
    finally:
        client.close(drain=False)


def _finding_text(finding: Finding) -> str:
    return Phrase(f"{finding.kind} {finding.subject}: {finding.what} ", finding.hint)


def _disk(path: Path) -> Iterator[Check]:
    from shutil import disk_usage

    free = disk_usage(path).free
    state = WARNING if free < _LITTLE_BYTES else OK
    yield Check("disk", state, f"{size_text(free)} free at {path}.")
    diagnostics = StoreFolder(path).diagnostics
    if diagnostics.exists() and diagnostics.stat().st_size:
        yield Check("store", WARNING, f"A runner failed; see {diagnostics}.")


def _environments() -> Iterator[Check]:
    from orchlite.core import folders, private_folders
    from orchlite.core.files import tree_size_bytes
    from orchlite.environments.environments import Environments

    cache = folders.cache_folder()
    if not cache.exists():
        yield Check("environments", OK, f"There are none at {cache}.")
        return
    for path in private_folders.exposed_folders(cache, "the cache", allow_foreign_owner=private_folders.allows_foreign_owner()):
        yield Check("environments", WARNING, f"Other accounts can write in {path}; the next host closes it.")
    if not os.access(cache, os.W_OK):
        yield Check("environments", BAD, f"{cache} is not writable. Set ORCHLITE_CACHE to a folder that is.")
    count = sum(path.is_dir() for path in (cache / "environments").glob("*"))
    environments = Environments(cache)
    for change in environments.changes():
        yield Check("environments", WARNING, f"A program has changed {change}, which runs share; the next run builds it again.")
    unused = environments.unused_since(SystemClock().now() - _OLD)
    size = f"{counted(count, 'environment')} at {cache}, {size_text(tree_size_bytes(cache))}"
    old = f"; {counted(len(unused), 'folder')} unused for {_OLD.days} days, which " + Api.PRUNE + " removes" if unused else ""
    yield Check("environments", OK, Phrase(size, old, "."))


def _installer() -> Iterator[Check]:
    from orchlite.environments import pip_config, uv, virtualenvs
    from orchlite.environments.installers import pip_identity

    program = uv.find()
    version = uv.version(program) if program else None
    if program and version and uv.supports_options(pip_config.options()):
        yield Check("installer", OK, f"uv {version} at {program}; pip if uv would install from other sources.")
    else:
        yield Check("installer", OK, f"{pip_identity(virtualenvs.embedded_pip())}; uv is faster (pip install uv).")


def _index() -> Iterator[Check]:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import unquote, urlsplit
    from urllib.request import Request, urlopen

    from orchlite.core.text import mask_credentials

    url = _index_address()
    if url is None:
        yield Check("index", OK, "None is configured (no-index).")
        return
    shown = mask_credentials(url)
    if not url:
        yield Check("index", WARNING, "None is configured, and pip does not say which one it uses then.")
        return
    if url.startswith("file:"):
        is_there = is_folder(unquote(urlsplit(url).path))
        yield Check("index", OK if is_there else WARNING, f"{shown} is {'a' if is_there else 'no'} folder.")
        return
    try:
        with urlopen(Request(f"{url.rstrip('/')}/pip/", headers={"Accept": "text/html"}), timeout=_INDEX_TIMEOUT_SECONDS):  # noqa: S310 - as configured
            yield Check("index", OK, f"{shown} responds.")
    except HTTPError as error:
        error.close()
        state = OK if error.code == 404 else WARNING  # the index works, and has no pip
        yield Check("index", state, f"{shown} responds with {error.code}.")
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = mask_credentials(str(getattr(error, "reason", None) or error))
        yield Check("index", WARNING, f"{shown} cannot be reached ({why}): only existing environments and cached packages can be used.")


def _index_address() -> str | None:
    """Return the address of the index that the installer would ask first; None if it would ask none."""
    from orchlite.environments import pip_config, uv, virtualenvs

    options = pip_config.options()
    has_uv = (program := uv.find()) is not None and uv.is_new_enough(uv.version(program))
    if has_uv and uv.configures_indexes(os.environ):
        if pip_config.is_true(os.environ.get("UV_NO_INDEX", "")):
            return None
        options = {"index-url": uv.first_index(os.environ) or ""}
    if pip_config.is_true(options.get("no-index", "")):
        return None
    return options.get("index-url") or pip_config.default_index(virtualenvs.embedded_pip()) or ""


def _clock() -> Iterator[Check]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    now = SystemClock().now()
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield Check("clock", WARNING, "There is no time zone data, so schedules can only use UTC. Install tzdata.")
    yield Check("clock", OK, f"It is {now:%Y-%m-%d %H:%M:%S} UTC, {now.astimezone():%H:%M %Z} here.")


def _leftovers() -> Iterator[Check]:
    from orchlite.core import folders
    from orchlite.operations import liveness

    dead = [store.path for store in folders.temporary_store_folders() if not liveness.any_alive(store.hosts)]
    if dead:
        words = "is left by a process that has ended; the next temporary client removes it."
        yield Check("leftovers", WARNING, f"{counted(len(dead), 'temporary store')}: {dead[0]} {words}")
    else:
        yield Check("leftovers", OK, "There is no abandoned temporary store.")
