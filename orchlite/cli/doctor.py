"""The verb `doctor`: whether this machine and this store are fit to run something. It looks, and mends nothing."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchlite.cli.errors import DONE, FAILED
from orchlite.cli.language import spelled
from orchlite.cli.lookup import search_of
from orchlite.cli.options import Verb, setting
from orchlite.cli.output import bytes_text, counted
from orchlite.core.clock import SystemClock
from orchlite.core.errors import OrchliteError

if TYPE_CHECKING:
    from orchlite.operations.integrity import Finding

_INDEX = "https://pypi.org/simple"
_PATIENCE_SECONDS = 5.0
_OLD = timedelta(days=30)
_AHEAD = timedelta(minutes=1)
_LITTLE_BYTES = 1024**3
_OK, _WARNING, _BAD = "ok", "warning", "bad"


class Check(NamedTuple):
    """What was looked at: {name, state, words}. `state` is `ok`, `warning` (it works, but look), or `bad`."""

    name: str
    state: str
    words: str


@click.command(cls=Verb, short_help="Look whether all is well with this machine and the store.")
@click.option("--offline", is_flag=True, help="Do not try to reach the package index.")
def doctor(offline: bool) -> int:
    """Look at the interpreter, the installation, the store, environments, installer, package index, clock and leftovers.

    Ends with 1 if something is bad.
    """
    out = setting().output()
    checks: list[Check] = []
    for name, look in _looks(offline).items():
        with out.busy(f"looking at the {name}"):
            checks += _looked(name, look)
    if out.as_json:
        out.json([check._asdict() for check in checks])
    else:
        out.table(("", "what", "words"), [(check.state, check.name, check.words) for check in checks], wraps=True)
    return FAILED if any(check.state == _BAD for check in checks) else DONE


def _looks(offline: bool) -> dict[str, Callable[[], Iterator[Check]]]:
    looks = {
        "interpreter": _interpreter,
        "installation": _installation,
        "store": _store,
        "environments": _environments,
        "installer": _installer,
        "index": _index,
        "clock": _clock,
        "leftovers": _leftovers,
    }
    return {name: look for name, look in looks.items() if not (offline and name == "index")}


def _looked(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    try:
        return list(look())
    except (OrchliteError, OSError) as error:
        return [Check(name, _BAD, spelled(error.args[0]) if isinstance(error, OrchliteError) else str(error))]


def _interpreter() -> Iterator[Check]:
    yield Check("interpreter", _OK, f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}")
    from orchlite.environments import virtualenvs

    virtualenvs.interpreter_info()  # PackagingFailed: no environment can be made from it
    if platform.system() != "Linux":
        yield Check("interpreter", _WARNING, "Programs that leave their session are not swept up on this system.")


def _installation() -> Iterator[Check]:
    from orchlite.core.version import VERSION

    yield Check("installation", _OK, f"orchlite {VERSION} at {Path(__file__).parents[1]}")
    for folder in (Path(entry, "orchlite") for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")):
        if folder.is_dir() and not (folder / "__init__.py").exists():  # pip leaves what pytest has compiled
            words = "is left by an earlier installation, and hides an editable one. Remove it."
            yield Check("installation", _WARNING, f"{folder} {words}")


def _store() -> Iterator[Check]:
    from orchlite.client.client import Client

    folder = setting().folder()
    if not folder.database.exists():
        yield Check("store", _OK, f"There is none at {folder.path} yet.")
        return
    client = Client(folder.path)
    try:
        newest = search_of(client).newest_runs(1)
        written_at = newest[0].created_at() if newest else None
        findings = client.check()
    finally:
        client.close(drain=False)
    wrong = [finding for finding in findings if finding.kind != "leftover"]
    yield from (Check("store", _BAD, _finding_text(finding)) for finding in wrong)
    if not wrong:
        yield Check("store", _OK, f"{folder.path} is whole.")
    yield from (Check("leftovers", _WARNING, _finding_text(finding)) for finding in findings if finding.kind == "leftover")
    if written_at is not None and written_at - SystemClock().now() > _AHEAD:
        yield Check("clock", _BAD, f"The store has a run of {written_at:%Y-%m-%d %H:%M} UTC, which is to come: the clock was set back.")
    yield from _room(folder.path)


def _finding_text(finding: Finding) -> str:
    return f"{finding.kind} {finding.subject}: {finding.what} {spelled(finding.hint)}"


def _room(path: Path) -> Iterator[Check]:
    from shutil import disk_usage

    from orchlite.core.folders import StoreFolder

    free = disk_usage(path).free
    state = _WARNING if free < _LITTLE_BYTES else _OK
    yield Check("disk", state, f"{bytes_text(free)} are free at {path}.")
    said = StoreFolder(path).diagnostics
    if said.exists() and said.stat().st_size:
        yield Check("store", _WARNING, f"A runner has broken; {said} says how.")


def _environments() -> Iterator[Check]:
    from orchlite.core import folders as paths
    from orchlite.core.files import tree_size_bytes
    from orchlite.environments.environments import Environments

    cache = paths.cache_folder()
    if not cache.exists():
        yield Check("environments", _OK, f"There are none at {cache} yet.")
        return
    if not os.access(cache, os.W_OK):
        yield Check("environments", _BAD, f"{cache} cannot be written. Set ORCHLITE_CACHE to a folder that can.")
    count = sum(path.is_dir() for path in (cache / "environments").glob("*"))
    unused = Environments(cache).unused_since(SystemClock().now() - _OLD)
    old = f"; {counted(len(unused), 'folder')} unused for {_OLD.days} days, which prune removes" if unused else ""
    yield Check("environments", _OK, f"{counted(count, 'environment')} at {cache}, {bytes_text(tree_size_bytes(cache))}{old}.")


def _installer() -> Iterator[Check]:
    from orchlite.environments import pip_config, uv, virtualenvs
    from orchlite.environments.installers import pip_identity

    program = uv.find()
    version = uv.version(program) if program else None
    if program and version and uv.supports_options(pip_config.options()):
        yield Check("installer", _OK, f"uv {version} at {program}; pip, where uv would install from other places.")
    else:
        yield Check("installer", _OK, f"{pip_identity(virtualenvs.embedded_pip())}; with uv (pip install uv) it is quicker.")


def _index() -> Iterator[Check]:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    from orchlite.core.text import mask_credentials
    from orchlite.environments import pip_config

    options = pip_config.options()
    if pip_config.is_true(options.get("no-index", "")):
        yield Check("index", _OK, "None is configured (no-index).")
        return
    url = options.get("index-url") or _INDEX
    shown = mask_credentials(url)
    try:
        with urlopen(Request(f"{url.rstrip('/')}/pip/", headers={"Accept": "text/html"}), timeout=_PATIENCE_SECONDS):  # noqa: S310 - as configured
            yield Check("index", _OK, f"{shown} answers.")
    except HTTPError as error:
        error.close()
        state = _OK if error.code == 404 else _WARNING  # it is there, and has no pip
        yield Check("index", state, f"{shown} answers {error.code}.")
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = mask_credentials(str(getattr(error, "reason", None) or error))
        yield Check("index", _WARNING, f"{shown} cannot be reached ({why}): only environments that there are, or are cached, can be used.")


def _clock() -> Iterator[Check]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    now = SystemClock().now()
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield Check("clock", _WARNING, "There is no time zone data: schedules are in UTC only. Install tzdata.")
    yield Check("clock", _OK, f"It is {now:%Y-%m-%d %H:%M:%S} UTC, {now.astimezone():%H:%M %Z} here.")


def _leftovers() -> Iterator[Check]:
    from orchlite.core import folders as paths
    from orchlite.operations import liveness as presence

    dead = [store.path for store in paths.temporary_store_folders() if not presence.any_alive(store.hosts)]
    if dead:
        words = "is left by a process that is gone; the next temporary client removes it."
        yield Check("leftovers", _WARNING, f"{counted(len(dead), 'temporary store')}: {dead[0]} {words}")
    else:
        yield Check("leftovers", _OK, "No temporary store is left behind.")
