"""The folders that orchlite uses, and the names of all files in a store. The only importer of platformdirs."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument, DeviceFailed, StoreDamaged
from orchlite.core.hints import Api
from orchlite.core.private_folders import secure

_NETWORK_FILE_SYSTEMS = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    *("gfs", "gpfs", "lustre", "ncpfs", "nfs", "ocfs", "smb"),
)
_TEMPORARY_PREFIX = "orchlite-temporary-"


class AttemptFolder(NamedTuple):
    """The files of one attempt of a run."""

    path: Path

    @property
    def work(self) -> Path:
        """The program's working folder: the bundle unpacked, and what the program makes."""
        return self.path / "work"

    @property
    def arguments(self) -> Path:
        """What `task_args()` reads."""
        return self.path / "arguments.json"

    @property
    def log(self) -> Path:
        """The first segment of the log; later ones are `log.1`, `log.2`, …"""
        return self.path / "log"

    @property
    def result(self) -> Path:
        """The outcome: a `RunResult`, written by the runner."""
        return self.path / "result.json"

    @property
    def placed(self) -> Path:
        """Created once a cluster has accepted the run."""
        return self.path / "placed"


class RunFolder(NamedTuple):
    """The files of one run. Other packages create and read them."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def alive_lock(self) -> Path:
        """Locked (flock, exclusive) by the run's runner for as long as it lives."""
        return self.path / "alive.lock"

    @property
    def started(self) -> Path:
        """Created with O_EXCL by the attempt that starts the program, so that no other attempt starts it."""
        return self.path / "started.json"

    @property
    def cancel(self) -> Path:
        """Its presence requests the end of the run from its runner; its text is the reason."""
        return self.path / "cancel"

    def is_held(self) -> bool:
        """Return whether an attempt was prepared and not ordered: then its processes have executed nothing of the program."""
        return any(self.path.glob("*/held"))

    def attempt(self, number: int) -> AttemptFolder:
        """Return the folder of an attempt; the first one is 1."""
        return AttemptFolder(self.path / str(number))


class StoreFolder(NamedTuple):
    """The files of one store."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite database; its WAL is beside it."""
        return self.path / "store.sqlite"

    @property
    def bundles(self) -> Path:
        """One file for each distinct bundle, named by its SHA-256."""
        return self.path / "bundles"

    @property
    def models(self) -> Path:
        """One file for each distinct model, named by its SHA-256."""
        return self.path / "models"

    @property
    def runs(self) -> Path:
        """One folder for each run, named by its id."""
        return self.path / "runs"

    @property
    def hosts(self) -> Path:
        """One lock file for each host that has the store open."""
        return self.path / "hosts"

    @property
    def diagnostics(self) -> Path:
        """The standard error of runners; empty unless one of them has failed."""
        return self.path / "runners.log"

    @property
    def node_mark(self) -> Path:
        """Exists in the temporary store that a node of a cluster has for one run: the store of the run's host is elsewhere."""
        return self.path / "node"

    def holds_files(self) -> bool:
        """Return whether bundles, models or runs are stored here: then the database exists, too, or was lost."""
        return any(_has_entries(folder) for folder in (self.bundles, self.models, self.runs))

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        if "/" in run_id or run_id in ("", ".", ".."):  # a row that was tampered with must not lead outside
            raise StoreDamaged(f"The store {str(self.path)!r} has a run with the id {run_id!r:.60}.", hint="Restore it from a backup.")
        return RunFolder(self.runs / run_id)

    def make(self, *, allow_foreign_owner: bool = False) -> None:
        """Create the folders that are missing, with access for this account only, and secure those that exist.

        Raises:
            DeviceFailed: one cannot be created.
            BadArgument: the store belongs to another account, which only root may open, with `allow_foreign_owner`; or is on a network
                file system.
        """
        _make(self.path)
        secure(self.path, "the store", allow_foreign_owner=allow_foreign_owner)
        self._check_file_system()
        for folder in (self.bundles, self.models, self.runs, self.hosts):
            _make(folder)

    def _check_file_system(self) -> None:
        """Refuse a network file system, whose locks do not exclude."""
        kind = file_system_type(self.path.stat().st_dev)
        if is_network_file_system(kind):
            raise BadArgument(
                f"The store {str(self.path)!r} is on a network file system ({kind}), whose locks are unreliable.",
                hint="Choose a folder on a local disk.",
                argument="path",
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceFailed(
            f"The folder {str(folder)!r} cannot be created: {error.strerror}.",
            hint="Choose another one with " + Api.CLIENT_PATH + ".",
        ) from error


def is_network_file_system(kind: str) -> bool:
    """Return whether locks on a file system of this type do not exclude other machines."""
    return kind.startswith(_NETWORK_FILE_SYSTEMS)


def file_system_type(device: int) -> str:
    """Return the type of the file system on this device; empty if the system does not say."""
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return ""
    # proc(5): the third field is the device; a dash ends the optional fields, and the type follows it.
    found = (line for line in mounts if line.split(b" ", 3)[2] == number)
    return next((line.partition(b" - ")[2].split(b" ")[0].decode() for line in found), "")


def store_folder(given: str | os.PathLike[str] | None) -> StoreFolder:
    """Return the store to open: `given`, else the variable `ORCHLITE_STORE`, else one in the user's data folder.

    Raises:
        BadArgument: it is not a path, or is a file; or none is named, and this account has no home folder.
    """
    return StoreFolder(_folder(given, "ORCHLITE_STORE") or _user_folder("data") / "store")


def is_first_use() -> bool:
    """Return whether no store is named, and this account's data folder for stores does not exist: it is made with the first one, and stays.

    Raises:
        BadArgument: this account has no home folder.
    """
    return not os.environ.get("ORCHLITE_STORE") and not _user_folder("data").exists()


def cache_folder() -> Path:
    """Return the folder of the environments: the variable `ORCHLITE_CACHE`, else the user's cache folder.

    Raises:
        BadArgument: it is not a path, or is a file; or none is named, and this account has no home folder.
    """
    return _folder(None, "ORCHLITE_CACHE") or _user_folder("cache")


def own_cache_folder(*, allow_foreign_owner: bool = False) -> Path:
    """Return `cache_folder()`, created and secured. If it cannot be created, the first operation that needs it raises the error.

    Raises:
        BadArgument: it is not a path, is a file, or belongs to another account.
    """
    cache = cache_folder()
    with suppress(OSError):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):
        secure(cache, "the cache", allow_foreign_owner=allow_foreign_owner)
    return cache


def temporary_store_folder() -> StoreFolder:
    """Create an empty folder for a store that is removed when its client closes."""
    import tempfile

    return StoreFolder(Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX)).resolve())


def temporary_store_folders() -> list[StoreFolder]:
    """Return this account's temporary stores, including those of dead hosts."""
    import tempfile

    found = Path(tempfile.gettempdir()).resolve().glob(f"{_TEMPORARY_PREFIX}*")
    return [StoreFolder(path) for path in found if _is_own_folder(path)]


def _has_entries(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def _is_own_folder(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False  # removed a moment ago
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _folder(given: str | os.PathLike[str] | None, variable: str) -> Path | None:
    named = given if given is not None else os.environ.get(variable) or None
    if named is None:
        return None
    path = checked_path(named, "path" if given is not None else variable)
    if os.path.lexists(path) and not path.is_dir():
        raise BadArgument(f"{str(path)!r} is a file, not a folder.", hint="Give the path of a folder.", argument="path")
    return path


def _user_folder(kind: str) -> Path:
    import platformdirs

    try:
        path = platformdirs.user_data_path("orchlite") if kind == "data" else platformdirs.user_cache_path("orchlite")
    except RuntimeError as error:
        raise _no_home(kind) from error
    if not path.is_absolute():  # older versions of platformdirs return `~` as it is
        raise _no_home(kind)
    return path


def _no_home(kind: str) -> BadArgument:
    return BadArgument(
        f"This account's {kind} folder is unknown: HOME is not set to an absolute path, and account {os.getuid()} has no home folder.",
        hint="Set HOME, or name folders in ORCHLITE_STORE and ORCHLITE_CACHE.",
        argument="HOME",
    )
