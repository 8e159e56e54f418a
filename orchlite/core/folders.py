"""Which folders orchlite uses, and the names inside a store's. The only importer of platformdirs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument, DeviceFailed
from orchlite.core.hints import Api

_NETWORK_FILE_SYSTEMS = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    *("gfs", "gpfs", "lustre", "ncpfs", "nfs", "ocfs", "smb"),
)
_TEMPORARY_PREFIX = "orchlite-temporary-"


class AttemptFolder(NamedTuple):
    """The names of one attempt's files."""

    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def arguments(self) -> Path:
        return self.path / "arguments.json"

    @property
    def log(self) -> Path:
        """The first segment; later ones are `log.1`, `log.2`, …"""
        return self.path / "log"

    @property
    def result(self) -> Path:
        return self.path / "result.json"


class RunFolder(NamedTuple):
    """The names of a run's files. Making and reading them is other rooms' work."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def alive_lock(self) -> Path:
        """Held (flock, exclusive) by whoever owns the run, for as long as it lives."""
        return self.path / "alive.lock"

    @property
    def started(self) -> Path:
        """Created with O_EXCL by the one attempt that starts the program."""
        return self.path / "started.json"

    @property
    def cancel(self) -> Path:
        """Its presence asks the owner to end the run; its text is the reason."""
        return self.path / "cancel"

    def attempt(self, number: int) -> AttemptFolder:
        return AttemptFolder(self.path / str(number))


class StoreFolder(NamedTuple):
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
        """Create what is missing, readable by this account only.

        Raises:
            DeviceFailed: it cannot be created.
            BadArgument: the folder is another account's, or on a file system of the network.
        """
        for folder in (self.path, self.bundles, self.runs, self.hosts):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise DeviceFailed(
                    f"The folder {str(folder)!r} cannot be made: {error.strerror}.", hint="Choose another one with " + Api.CLIENT_PATH + "."
                ) from error
        self._check()

    def _check(self) -> None:
        """Refuse what would work for a while: the files of two accounts lock each other out, and a network's locks hold nobody back."""
        status = self.path.stat()
        if status.st_uid != os.getuid():
            raise BadArgument(
                f"The store {str(self.path)!r} belongs to account {status.st_uid}, and this process to {os.getuid()}.",
                hint="A store has one account: run as that one, or choose another folder.",
                argument="path",
            )
        kind = file_system(status.st_dev)
        if is_of_the_network(kind):
            raise BadArgument(
                f"The store {str(self.path)!r} is on a file system of the network ({kind}), whose locks cannot be relied on.",
                hint="Choose a folder on a local disk.",
                argument="path",
            )


def is_of_the_network(file_system: str) -> bool:
    """Whether the locks of a file system of this type hold back nobody on other machines."""
    return file_system.startswith(_NETWORK_FILE_SYSTEMS)


def file_system(device: int) -> str:
    """The type of the file system on this device; empty where the system does not say."""
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return ""
    # proc(5): the third field is the device; the type stands behind a dash that ends the optional fields.
    found = (line for line in mounts if line.split(b" ", 3)[2] == number)
    return next((line.partition(b" - ")[2].split(b" ")[0].decode() for line in found), "")


def store_folder(given: str | os.PathLike[str] | None) -> StoreFolder:
    """The store to open: the folder given, else `ORCHLITE_STORE`, else one in the user's data folder."""
    return StoreFolder(_folder(given, "ORCHLITE_STORE") or _user_folder("data") / "store")


def cache_folder() -> Path:
    """Where environments are kept: `ORCHLITE_CACHE`, else the user's cache folder."""
    return _folder(None, "ORCHLITE_CACHE") or _user_folder("cache")


def temporary_store_folder() -> StoreFolder:
    """A new, empty folder for a store that is removed when its client closes."""
    import tempfile

    return StoreFolder(Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX)).resolve())


def temporary_store_folders() -> list[StoreFolder]:
    """This account's temporary stores, those of dead hosts among them."""
    import tempfile

    found = Path(tempfile.gettempdir()).resolve().glob(f"{_TEMPORARY_PREFIX}*")
    return [StoreFolder(path) for path in found if _is_own_folder(path)]


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

    return platformdirs.user_data_path("orchlite") if kind == "data" else platformdirs.user_cache_path("orchlite")
