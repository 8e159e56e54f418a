"""What all tasks share in the cache: pip, unpacked, and the copy of orchlite that tasks import.

Each is a folder named after its content, with all of its bytecode, put in place whole, read-only and sealed. It never changes afterwards;
if a program has changed it anyway, it is created again. Neither refers to the hosting interpreter's files: a run must not change
because its host is upgraded or removed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache as remembered
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from orchlite.core.files import exclusive_lock, make_private_folders, remove_tree, sources_of
from orchlite.core.version import VERSION
from orchlite.environments import bytecode, seals

_PACKAGE = Path(__file__).parents[1]
_EXCLUDED = frozenset({"cli", "node", "ray", "rest", "testing", "web", "__pycache__"})  # folders that no task uses
_PYPA_LIBRARY = "packaging"
"""The library that `pypa` imports. An environment need not have it installed, so it is copied as `orchlite._packaging`."""

_TOUCH_SECONDS = 3600.0
_touched: dict[Path, float] = {}
_seals: dict[Path, tuple[tuple[int, int], seals.Seal]] = {}
"""By folder: inode and time of its seal, and the seal."""
_log = logging.getLogger(__name__)


def place_pip(cache: Path, wheel: Path) -> Path:
    """Unpack and compile a wheel of pip, if the cache does not have it intact; return the folder. Safe from several processes.

    Compiling blocks for 2 s, once for each cache and version of Python.

    Raises:
        OSError: the cache cannot be written.
    """
    return _placed(cache / "installer" / _pip_name(wheel), lambda part: _unpack(wheel, part))


def place_sdk(cache: Path) -> Path:
    """Copy orchlite, compiled, if the cache does not have it intact; return the folder for a task's path. Safe from several processes.

    The folder also has the in-task module, as the top-level package `wallaroo`. Called in a task, by the copy itself, this returns the
    folder that the copy is in.

    Raises:
        OSError: the cache cannot be written.
        ModuleNotFoundError: the library `packaging` is not installed.
    """
    if _is_copy():
        return _PACKAGE.parent
    return _placed(cache / "sdk" / _sdk_name(), _copy_package)


def other_versions(cache: Path, wheel: Path) -> list[tuple[Path, float]]:
    """Return the copies of orchlite and pip that this process would not use, with the time of their last use: seconds since 1970."""
    own = {_pip_name(wheel), _sdk_name()}
    folders = [folder for kind in ("installer", "sdk") for folder in sorted((cache / kind).glob("*/")) if folder.name not in own]
    found: list[tuple[Path, float]] = []
    for folder in folders:
        with suppress(FileNotFoundError):  # another process has removed it
            used = [each for each in (_seal_of(folder), folder) if each.exists()]
            found.append((folder, used[0].stat().st_mtime))
    return found


def remove(folder: Path) -> bool:
    """Remove a folder that `other_versions` returned, atomically for its users; return False if that is not possible."""
    doomed = folder.with_name(".part")
    try:
        with exclusive_lock(folder.parent / "lock"):
            remove_tree(doomed)
            folder.rename(doomed)
            _seal_of(folder).unlink(missing_ok=True)
            return remove_tree(doomed)
    except OSError:
        return False


def _pip_name(wheel: Path) -> str:
    """Return the folder's name: pip's version, and that of the bytecode."""
    return "-".join([*wheel.name.split("-")[:2], str(sys.implementation.cache_tag)])


@remembered
def _is_copy() -> bool:
    """Return whether this process is a task, and this package the copy."""
    return (_PACKAGE / f"_{_PYPA_LIBRARY}").is_dir()


def _sdk_name() -> str:
    return f"{VERSION}-{_sdk_digest()}"


def _unpack(wheel: Path, folder: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    for source in folder.rglob("*.py"):
        with suppress(SyntaxError, ValueError):  # a template, or of another Python
            bytecode.write(source)


@remembered
def _sdk_digest() -> str:
    """Return the digest of everything that is copied and of the bytecode's version: each Python version has a copy of its own."""
    import hashlib

    digest = hashlib.sha256(MAGIC_NUMBER)
    for target, source in _sources():
        digest.update(f"\0{target}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[tuple[Path, Path]]:
    """Yield every file to copy: its path in the copy, and its path here."""
    for inside, source in sources_of(_PACKAGE, _EXCLUDED):
        is_wallaroo = inside.parts[:2] == ("sdk", "wallaroo")
        yield inside.relative_to("sdk") if is_wallaroo else "orchlite" / inside, source
    for inside, source in sources_of(_pypa_library(), _EXCLUDED):
        yield Path("orchlite", f"_{_PYPA_LIBRARY}", inside), source


def _pypa_library() -> Path:
    from importlib.util import find_spec

    found = find_spec(_PYPA_LIBRARY)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"The package {_PYPA_LIBRARY!r}, which virtualenv depends on, is not installed.", name=_PYPA_LIBRARY)
    return Path(found.submodule_search_locations[0])


def _copy_package(folder: Path) -> None:
    for target, source in _sources():
        copy = folder / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
        if copy.suffix == ".py":
            bytecode.write(copy)


def _placed(final: Path, fill: Callable[[Path], None]) -> Path:
    """Fill the folder unless it is there and intact, in one process only; first remove what a killed process left half-filled."""
    if _is_intact(final):
        _touch(_seal_of(final))
        return final
    make_private_folders(final.parents[1], final.parent)
    with exclusive_lock(final.parent / "lock"):  # held for 2 s at most
        if not _is_intact(final):
            part, old = final.with_name(final.name + ".part"), final.with_name(final.name + ".old")
            for left in (part, old):
                remove_tree(left)
            part.mkdir(mode=0o700)
            fill(part)
            closed = seals.close(part)
            _seal_of(final).unlink(missing_ok=True)
            if final.exists():
                _log.warning("%s is not complete, or was changed by a program that runs in it; it is made again", final)
                final.rename(old)
            part.rename(final)
            _seal_of(final).write_text(json.dumps(closed.entries), encoding="utf-8")
            remove_tree(old)
    return final


def _is_intact(folder: Path) -> bool:
    """Return whether the folder is as it was sealed. Every run waits for this: 2 µs for each folder in it."""
    try:
        status = os.stat(f"{folder}.seal")  # noqa: PTH116 - quicker than Path.stat, and every run waits for it
        stamp = (status.st_ino, status.st_mtime_ns)
        if _seals.get(folder, (None, ()))[0] != stamp:
            _seals[folder] = (stamp, seals.Seal.from_json(json.loads(_seal_of(folder).read_bytes())))
    except (OSError, ValueError, TypeError):
        return False
    return _seals[folder][1].next_change(folder) is None


def _seal_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".seal")


def _touch(path: Path) -> None:
    """Set the file's time as a sign of use, at most once an hour: `prune` counts in days."""
    now = time.monotonic()
    if now - _touched.get(path, -_TOUCH_SECONDS) >= _TOUCH_SECONDS:
        _touched[path] = now
        with suppress(OSError):
            os.utime(path)
