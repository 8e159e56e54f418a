"""What all environments share in the cache: the unpacked installer, and the copy of orchlite that tasks import.

Each is a folder named by what it contains, put in place whole and never changed afterwards. Neither is ever a pointer into the
hosting interpreter: a run must not change because its host is upgraded or removed.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as remembered
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from orchlite.version import VERSION

_PACKAGE = Path(__file__).parent
_COPIED = frozenset({".py", ".sql"})


def place_installer(cache: Path, wheel: Path) -> Path:
    """Unpack the installer's wheel once for this cache; return its folder.

    Raises:
        OSError: the cache cannot be written.
    """
    name = "-".join(wheel.name.split("-")[:2])
    return _placed(cache / "installer" / name, lambda part: _unpack(wheel, part))


def place_sdk(cache: Path) -> Path:
    """Copy orchlite, compiled, once for this cache; return the folder that a task puts on its path.

    The in-task module stands beside it, as the top-level package `wallaroo`.

    Raises:
        OSError: the cache cannot be written.
    """
    return _placed(cache / "sdk" / f"{VERSION}-{_digest()}", _copy_package)


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
    for source in sorted(_PACKAGE.rglob("*")):
        if source.suffix in _COPIED:
            inside = source.relative_to(_PACKAGE)
            hoisted = inside.parts[:2] == ("sdk", "wallaroo")
            yield inside.relative_to("sdk") if hoisted else "orchlite" / inside, source


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
        return final
    # One by one, since `parents=True` gives its mode to the last only.
    for folder in (final.parents[1], final.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusively(final.parent / "lock"):
        if not final.is_dir():
            part = final.with_name(final.name + ".part")
            _remove(part)
            part.mkdir(mode=0o700)
            fill(part)
            part.rename(final)
    return final


def _remove(folder: Path) -> None:
    from shutil import rmtree

    if folder.exists():
        rmtree(folder)


@contextmanager
def _exclusively(lock: Path) -> Iterator[None]:
    # Held for a second at most, so waiting for it needs no way out.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
