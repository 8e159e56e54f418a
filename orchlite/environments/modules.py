"""Which modules folders of installed packages bring, and which distributions bring them. Reads names and metadata, and imports nothing.

Modules go by their top-level names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.files import is_folder
from orchlite.environments.host_packages import modification_times

if TYPE_CHECKING:  # importing it takes as long as importing the rest of the library
    from importlib.metadata import Distribution

_FILE = re.compile(r"(?P<module>\w+)(?:\.[\w-]+)?\.(?:py|pyc|so)")
_LISTED_FILE = re.compile(r"^(\w+)(?:/|\.[^/\n]*,)", re.MULTILINE)


class Owner(NamedTuple):
    """A distribution that brings a module."""

    name: str
    """Canonical."""
    label: str
    """Name and version, in printable characters."""


def modules_in(folders: Iterable[str | Path]) -> frozenset[str]:
    """Return the modules in folders of installed packages, and in the folders that their path files name."""
    found: set[str] = set()
    for folder in folders:
        entries = list(_entries(folder))
        named = [path for entry in entries if entry.name.endswith(".pth") for path in _named(Path(entry.path))]
        found.update(filter(None, map(_module, [*entries, *(entry for path in named for entry in _entries(path))])))
    return frozenset(found)


def is_namespace(module: str, folders: Iterable[str]) -> bool:
    """Return whether the module is only a folder without `__init__`, to which several distributions may add."""
    for path in (Path(folder, module) for folder in folders):
        if any(path.glob("__init__.*")) or any(_FILE.fullmatch(file.name) for file in path.parent.glob(f"{module}.*")):
            return False
    return True


def owners(modules: Iterable[str], folders: Sequence[str]) -> dict[str, list[Owner]]:
    """Return the distributions that bring each of the modules, in the order of the path. A module has none if no metadata names it."""
    wanted = list(modules)
    known = _distributions_by_module(tuple(folders), modification_times(tuple(folders))) if wanted else {}
    return {module: list(filter(None, map(_owner, known.get(module, ())))) for module in wanted}


def with_dependencies(requirements: Iterable[str], folders: Sequence[str]) -> frozenset[str] | None:
    """Return the canonical names of what normalised requirements install, dependencies included, as far as the folders show it.

    Return None where they do not: for a package that is not in them, or only in a version that does not fit, for extras and for URLs.
    """
    found: set[str] = set()
    lines = (line.partition(" --hash=")[0] for line in requirements if not line.startswith("-"))
    waiting = list(filter(_applies, lines))
    while waiting:
        distribution = _found(waiting.pop(), folders)
        if distribution is None:
            return None
        if (name := _canonical(distribution.name)) not in found:
            found.add(name)
            waiting += filter(_applies, distribution.requires or ())
    return frozenset(found)


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _named(path_file: Path) -> Iterator[Path]:
    """Yield the folders that a path file names; to `site`, lines that begin with `import` are code."""
    with suppress(OSError):
        for line in path_file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            folder = path_file.parent / line.strip()
            if line.strip() and not line.startswith(("#", "import ", "import\t")) and is_folder(folder):
                yield folder


def _module(entry: os.DirEntry[str]) -> str | None:
    if found := _FILE.fullmatch(entry.name):
        return found["module"]
    return entry.name if entry.name.isidentifier() and is_folder(entry.path) else None


@lru_cache(maxsize=4)
def _distributions_by_module(folders: tuple[str, ...], _: tuple[int, ...]) -> dict[str, list[Distribution]]:
    # Remembered, since reading all lists of files takes longer than packaging a bundle without requirements.
    from importlib.metadata import distributions

    found: dict[str, list[Distribution]] = {}
    for distribution in distributions(path=list(folders)):
        for module in _brought(distribution):
            found.setdefault(module, []).append(distribution)
    return found


def _brought(distribution: Distribution) -> set[str]:
    """Return the modules in a distribution's list of modules, and in that of its files."""
    try:
        top_level, files = distribution.read_text("top_level.txt") or "", distribution.read_text("RECORD") or ""
    except UnicodeDecodeError:
        return set()
    return {*top_level.split(), *_LISTED_FILE.findall(files)}


def _owner(distribution: Distribution) -> Owner | None:
    try:
        name, version = distribution.name, distribution.version
    except UnicodeDecodeError:
        return None
    return Owner(_canonical(name), f"{name} {version}".encode("unicode_escape").decode("ascii")) if name else None


def _found(line: str, folders: Sequence[str]) -> Distribution | None:
    """Return the first distribution in the folders that fits a requirement without extras and URL."""
    from importlib.metadata import Distribution

    from orchlite.environments.pypa import InvalidRequirement, InvalidVersion, Requirement

    try:
        requirement = Requirement(line)
        found = next(iter(Distribution.discover(name=requirement.name, path=list(folders))), None)
        fits = found is not None and requirement.specifier.contains(found.version or "", prereleases=True)
    except (InvalidRequirement, InvalidVersion, UnicodeDecodeError):
        return None
    return found if fits and not requirement.extras and not requirement.url else None


def _applies(line: str) -> bool:
    """Return whether a distribution requires this here, without any of its extras."""
    from orchlite.environments.pypa import InvalidRequirement, Requirement, applies

    try:
        return applies(Requirement(line))
    except InvalidRequirement:
        return True


def _canonical(name: str) -> str:
    from orchlite.environments.pypa import canonicalize_name

    return canonicalize_name(name)
