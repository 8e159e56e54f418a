"""What all environments share in the cache: the unpacked installer, and the copy of orchlite that tasks import.

Each is a folder named by what it contains, put in place whole and never changed afterwards. Neither is ever a pointer into the
hosting interpreter: a run must not change because its host is upgraded or removed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache as remembered
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from orchlite.core.files import exclusive_lock, make_private_folders, remove_tree
from orchlite.core.version import VERSION

_PACKAGE = Path(__file__).parents[1]
_LEFT_OUT = frozenset({"cli", "rest", "testing"})  # doors that no task comes in by
_COPIED = frozenset({".py", ".sql"})
_LIBRARY = "packaging"
"""What orchlite needs of others to read requirements; no environment has to hold it, so it is copied as `orchlite._packaging`."""

_TOUCH_SECONDS = 3600.0
_touched: dict[Path, float] = {}


def place_installer(cache: Path, wheel: Path) -> Path:
    """Unpack the installer's wheel once for this cache; return its folder.

    Raises:
        OSError: the cache cannot be written.
    """
    return _placed(cache / "installer" / _installer_name(wheel), lambda part: _unpack(wheel, part))


def place_sdk(cache: Path) -> Path:
    """Copy orchlite, compiled, once for this cache; return the folder that a task puts on its path.

    The in-task module stands beside it, as the top-level package `wallaroo`. Called by the copy itself, in a task, it answers where
    that lies.

    Raises:
        OSError: the cache cannot be written.
    """
    if (_PACKAGE / f"_{_LIBRARY}").is_dir():
        return _PACKAGE.parent
    return _placed(cache / "sdk" / _sdk_name(), _copy_package)


def others(cache: Path, wheel: Path) -> list[tuple[Path, float]]:
    """The copies and installers that this process would not use, each with the time of its last use: seconds since 1970."""
    own = {_installer_name(wheel), _sdk_name()}
    folders = [folder for kind in ("installer", "sdk") for folder in sorted((cache / kind).glob("*/")) if folder.name not in own]
    return [(folder, folder.stat().st_mtime) for folder in folders]


def remove(folder: Path) -> bool:
    """Remove such a folder, all at once for whoever looks for it; False where that is not possible."""
    doomed = folder.with_name(".part")
    try:
        with exclusive_lock(folder.parent / "lock"):
            remove_tree(doomed)
            folder.rename(doomed)
            return remove_tree(doomed)
    except OSError:
        return False


def _installer_name(wheel: Path) -> str:
    return "-".join(wheel.name.split("-")[:2])


def _sdk_name() -> str:
    return f"{VERSION}-{_digest()}"


def _unpack(wheel: Path, folder: Path) -> None:
    from zipfile import ZipFile

    with ZipFile(wheel) as archive:
        archive.extractall(folder)


@remembered
def _digest() -> str:
    """Of all that is copied, and of the interpreter's bytecode: interpreters that share a cache have a copy each."""
    import hashlib

    digest = hashlib.sha256(MAGIC_NUMBER)
    for target, source in _sources():
        digest.update(f"\0{target}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[tuple[Path, Path]]:
    """Every file to copy: its place in the copy, and where it is."""
    for inside, source in _files_of(_PACKAGE):
        if inside.parts[0] in _LEFT_OUT:
            continue
        hoisted = inside.parts[:2] == ("sdk", "wallaroo")
        yield inside.relative_to("sdk") if hoisted else "orchlite" / inside, source
    for inside, source in _files_of(_library()):
        yield Path("orchlite", f"_{_LIBRARY}", inside), source


def _files_of(package: Path) -> Iterator[tuple[Path, Path]]:
    return ((source.relative_to(package), source) for source in sorted(package.rglob("*")) if source.suffix in _COPIED)


def _library() -> Path:
    from importlib.util import find_spec

    found = find_spec(_LIBRARY)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"The package {_LIBRARY!r}, which virtualenv brings, is not installed.", name=_LIBRARY)
    return Path(found.submodule_search_locations[0])


def _copy_package(folder: Path) -> None:
    for target, source in _sources():
        copy = folder / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
        if copy.suffix == ".py":
            _compile(copy)


def _compile(copy: Path) -> None:
    """Cache the bytecode, for an interpreter without options; it is never compared with the source again, which never changes."""
    import py_compile

    # Spelt out, since PYTHONPYCACHEPREFIX may send the host's own bytecode elsewhere.
    cached = copy.parent / "__pycache__" / f"{copy.stem}.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(copy), str(cached), optimize=0, invalidation_mode=mode, quiet=2)


def _placed(final: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, filled once however many processes ask; what a killed one left half-filled is removed by the next."""
    if final.is_dir():
        _touch(final)
        return final
    make_private_folders(final.parents[1], final.parent)
    with exclusive_lock(final.parent / "lock"):  # held for a second at most
        if not final.is_dir():
            part = final.with_name(final.name + ".part")
            remove_tree(part)
            part.mkdir(mode=0o700)
            fill(part)
            part.rename(final)
    return final


def _touch(folder: Path) -> None:
    """Let the folder's time say that it is in use; now and then is enough, since whoever looks thinks in days."""
    now = time.monotonic()
    if now - _touched.get(folder, -_TOUCH_SECONDS) >= _TOUCH_SECONDS:
        _touched[folder] = now
        with suppress(OSError):
            os.utime(folder)
