"""Which folders orchlite uses, and the names inside a store's. The only importer of platformdirs."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchlite.errors import BadArgument
from orchlite.records import RunFolder

_TEMPORARY_PREFIX = "orchlite-temporary-"


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """The names of what lies in a store."""

    path: Path

    @property
    def database(self) -> Path:
        return self.path / "store.sqlite"

    @property
    def bundles(self) -> Path:
        return self.path / "bundles"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def hosts(self) -> Path:
        return self.path / "hosts"

    @property
    def diagnostics(self) -> Path:
        """What runners say when they break; empty in a healthy store."""
        return self.path / "runners.log"

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.runs / run_id)

    def make(self) -> None:
        """Create what is missing, readable by this account only."""
        for folder in (self.path, self.bundles, self.runs, self.hosts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def store_folder(given: str | os.PathLike[str] | None) -> StoreFolder:
    """The store to open: the folder given, else `ORCHLITE_STORE`, else one in the user's data folder."""
    return StoreFolder(_folder(given, "ORCHLITE_STORE") or _user_folder("data") / "store")


def cache_folder() -> Path:
    """Where environments are kept: `ORCHLITE_CACHE`, else the user's cache folder."""
    return _folder(None, "ORCHLITE_CACHE") or _user_folder("cache")


def temporary_store_folder() -> StoreFolder:
    """A new, empty folder for a store that is removed when its client closes."""
    return StoreFolder(Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX)).resolve())


def temporary_store_folders() -> list[StoreFolder]:
    """This account's temporary stores, those of dead hosts among them."""
    found = Path(tempfile.gettempdir()).resolve().glob(f"{_TEMPORARY_PREFIX}*")
    return [StoreFolder(path) for path in found if path.is_dir() and path.stat().st_uid == os.getuid()]


def _folder(given: str | os.PathLike[str] | None, variable: str) -> Path | None:
    text = os.fspath(given) if given is not None else os.environ.get(variable, "")
    if given is None and not text:
        return None
    if not text or "\0" in text:
        raise BadArgument(f"{text!r} is no folder.", hint="Give the path of a folder; it is made where it is missing.", argument="path")
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise BadArgument(f"{str(path)!r} is a file, not a folder.", hint="Give the path of a folder.", argument="path")
    return path


def _user_folder(kind: str) -> Path:
    import platformdirs

    return platformdirs.user_data_path("orchlite") if kind == "data" else platformdirs.user_cache_path("orchlite")
