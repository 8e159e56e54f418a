"""The packages of the hosting interpreter that a run on the base image `host` sees, and their conflicts with what is installed for it.

Reads folders and metadata only; nothing of the host is imported or executed. Results are cached until the modification time of one of
the folders changes.
"""

from __future__ import annotations

import json
import os
import re
import site
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from orchlite.core.files import is_folder

if TYPE_CHECKING:
    import ast
    from importlib.metadata import Distribution

    from orchlite.environments.pypa import Requirement

_WITHOUT_MODULES = r"_virtualenv|~orchlite|(?:\w+_|pytest-)?cov(?:erage)?|.*-nspkg|.*editable.*"
"""Path files whose code runs do without: tools' own, packages that are found without it, and those that `_editable_roots` is about."""

_CODE = ("import ", "import\t")
"""How a line begins that `site` executes."""

_METADATA_FOLDER = r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>[^-]+)(?:-[^-]+)?\.(?:dist|egg)-info"

_SITE_NAMES = frozenset({"site-packages", "dist-packages"})


class HostPackages(NamedTuple):
    """What a run sees of its host."""

    directories: tuple[str, ...]
    """In the order of the host's own `sys.path`."""
    warnings: tuple[str, ...] = ()


def find() -> HostPackages:
    """Return the folders of this interpreter's `sys.path` that hold installed packages.

    These are its site-packages and what their `.pth` files name; never the working folder, the script's folder or PYTHONPATH.
    """
    path = _absolute(tuple(sys.path), "" if all(map(os.path.isabs, sys.path)) else _working_folder())
    sites = _site_folders(path, _python_path())
    return _found(path, sites, modification_times(sites))


def conflicts(installed: tuple[str, ...], directories: tuple[str, ...]) -> tuple[str, ...]:
    """Return a warning for each requirement of a host package that a version in `installed` (`name==version`) does not meet.

    A host package that is itself in `installed` is skipped: a run imports the installed one.
    """
    if not installed:  # importing the next takes longer than the rest of packaging
        return ()
    from orchlite.environments.pypa import canonicalize_name

    versions: dict[str, str] = {canonicalize_name(name): version for name, _, version in (each.rpartition("==") for each in installed)}
    found = _distributions(directories, modification_times(directories))
    return tuple(_escaped(text) for host in found if host.key not in versions for text in _unmet(host, versions))


def versions(directories: tuple[str, ...]) -> tuple[str, ...]:
    """Return the packages in these folders as sorted lines `name==version`, with normalized names; the first folder of a name counts."""
    return _versions(directories, modification_times(directories))


# --- Folders


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""  # it was removed, and relative entries mean nothing any more


@lru_cache(maxsize=4)
def _absolute(path: tuple[str, ...], working_folder: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(Path(working_folder, entry)) for entry in path if entry))


@lru_cache(maxsize=4)
def _site_folders(path: tuple[str, ...], python_path: str) -> tuple[str, ...]:
    own = {*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])}
    named = {str(Path(entry).absolute()) for entry in python_path.split(os.pathsep) if entry}
    # By name as well: sitecustomize, Debian and layered environments add site folders that `site` does not list.
    return tuple(entry for entry in path if is_folder(entry) and (entry in own or (Path(entry).name in _SITE_NAMES and entry not in named)))


def _python_path() -> str:
    return "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")


def modification_times(folders: tuple[str, ...]) -> tuple[int, ...]:
    """Return when entries were last added to the folders or removed from them, each in nanoseconds; 0 for one that cannot be read."""
    return tuple(_modified_at_ns(folder) for folder in folders)


def _modified_at_ns(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - every run calls this
    except OSError:
        return 0


@lru_cache(maxsize=4)
def _found(path: tuple[str, ...], sites: tuple[str, ...], _: tuple[int, ...]) -> HostPackages:
    if not sites:
        return HostPackages(
            (), ("The hosting interpreter has no site-packages: runs see none of its packages, as with the base image 'clean'.",)
        )
    named = {entry for folder in sites for entry in _pth_entries(Path(folder))}
    listed = [entry for entry in path if entry in sites or (entry in named and is_folder(entry))]
    resolved, warnings = _editable_roots(sites)
    warnings += [_not_executed(file) for folder in sites for file in _code_files(Path(folder))]
    found = list(dict.fromkeys([*listed, *resolved]))
    unusable = [entry for entry in found if os.pathsep in entry]
    warnings += [f"The host's folder {entry!r} is not visible to runs: its name contains {os.pathsep!r}." for entry in unusable]
    return HostPackages(tuple(entry for entry in found if entry not in unusable), tuple(warnings))


def _pth_entries(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.pth")):
        yield from _entries_of(file)


def _entries_of(file: Path) -> Iterator[str]:
    """Yield the folders that a `.pth` file names; to `site`, lines that begin with `import` are code."""
    for line in _read(file).splitlines():
        if line.strip() and not line.startswith(("#", *_CODE)):
            # Not Path.absolute(): `site` removes `..`, and the entry is compared with the one in `sys.path`.
            yield os.path.abspath(file.parent / line.rstrip())  # noqa: PTH100


def _code_files(folder: Path) -> Iterator[Path]:
    """Yield the `.pth` files with a line of code that may provide modules."""
    for file in sorted(folder.glob("*.pth")):
        is_known = re.fullmatch(_WITHOUT_MODULES, file.stem)
        # Before 3.12, the standard library has the `distutils` that this file of setuptools replaces.
        is_needless = file.stem == "distutils-precedence" and sys.version_info < (3, 12)
        if not is_known and not is_needless and any(line.startswith(_CODE) for line in _read(file).splitlines()):
            yield file


def _not_executed(file: Path) -> str:
    way_out = "If the program needs what it provides, require its package."
    return f"The host's path file {file.name!r} executes code at the start of Python, which runs do not. {way_out}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


# --- Editable installs by import hook


def _editable_roots(sites: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the folders that stand for setuptools' import hooks, and a warning for each editable install that has none."""
    roots: list[str] = []
    warnings: list[str] = []
    for folder in map(Path, sites):
        for finder in sorted(folder.glob("__editable___*_finder.py")):
            for name, target in _mapping(finder).items():
                root = _import_root(name, PurePath(target))
                roots += [root] if root else []
                warnings += [] if root else [_not_visible(name)]
        warnings += [_not_visible(name) for name in _other_editables(folder)]
    return roots, warnings


def _not_visible(name: str) -> str:
    reason = "it is found by an import hook, not by a folder"
    return f"The host's editable install {name!r} is not visible to runs: {reason}. Install it without -e."


def _mapping(finder: Path) -> dict[str, str]:
    """Return package names and their paths, parsed from the finder that setuptools wrote."""
    import ast

    try:
        body = ast.parse(_read(finder)).body
        value = next(each.value for each in body if isinstance(each, ast.Assign | ast.AnnAssign) and each.value and _assigns_mapping(each))
        return {str(name): str(target) for name, target in ast.literal_eval(value).items()}
    except (SyntaxError, ValueError, TypeError, AttributeError, StopIteration):
        return {finder.stem.removeprefix("__editable___").removesuffix("_finder"): ""}


def _assigns_mapping(statement: ast.Assign | ast.AnnAssign) -> bool:
    import ast

    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return any(isinstance(target, ast.Name) and target.id == "MAPPING" for target in targets)


def _import_root(name: str, target: PurePath) -> str | None:
    """Return the folder from which importing `name` finds `target`; None if their names differ."""
    parts = tuple(name.split("."))
    path = target.with_suffix("") if target.suffix == ".py" else target
    return str(path.parents[len(parts) - 1]) if path.is_absolute() and path.parts[-len(parts) :] == parts else None


def _other_editables(folder: Path) -> Iterator[str]:
    """Yield the names of editable installs with neither a `.pth` entry nor a finder of setuptools."""
    for origin in sorted(folder.glob("*.dist-info/direct_url.json")):
        if _is_editable(origin) and not _has_folder(folder, origin.with_name("RECORD")):
            yield origin.parent.name.split("-")[0]


def _is_editable(origin: Path) -> bool:
    try:
        return bool(json.loads(origin.read_bytes())["dir_info"]["editable"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _has_folder(folder: Path, record: Path) -> bool:
    files = [line.split(",")[0] for line in _read(record).splitlines()]
    return any(name.endswith("_finder.py") or (name.endswith(".pth") and any(_entries_of(folder / name))) for name in files)


# --- Conflicts


class _HostDistribution(NamedTuple):
    key: str
    """The canonical name."""
    label: str
    requires: tuple[str, ...]


@lru_cache(maxsize=4)
def _distributions(folders: tuple[str, ...], _: tuple[int, ...]) -> tuple[_HostDistribution, ...]:
    from importlib.metadata import distributions

    found: dict[str, _HostDistribution] = {}
    for distribution in distributions(path=list(folders)):
        each = _described(distribution)
        # The first on the path hides later ones with its name.
        if each:
            found.setdefault(each.key, each)
    return tuple(found.values())


@lru_cache(maxsize=4)
def _versions(folders: tuple[str, ...], _: tuple[int, ...]) -> tuple[str, ...]:
    # By the names of folders: every run needs it, and reading the metadata of some hundred packages takes longer than many a run.
    found: dict[str, str] = {}
    for folder in folders:
        for name in _names(folder):
            if match := re.fullmatch(_METADATA_FOLDER, name):
                found.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    return tuple(sorted(f"{name}=={version}" for name, version in found.items()))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - every run may do this
    except OSError:
        return []


def _described(distribution: Distribution) -> _HostDistribution | None:
    from orchlite.environments.pypa import canonicalize_name

    try:
        name, version, requires = distribution.name, distribution.version, tuple(distribution.requires or ())
    except UnicodeDecodeError:  # old tools have written other encodings
        return None
    return _HostDistribution(canonicalize_name(name), f"{name} {version}", requires) if name else None


def _unmet(host: _HostDistribution, versions: dict[str, str]) -> Iterator[str]:
    from orchlite.environments.pypa import InvalidRequirement, Requirement, applies, canonicalize_name

    for text in host.requires:
        try:
            need = Requirement(text)
        except InvalidRequirement:
            continue
        version = versions.get(canonicalize_name(need.name))
        # Metadata does not say which extras were installed.
        if version and applies(need) and not _is_met(need, version):
            yield f"host package {host.label} needs {need.name}{need.specifier}, but the requirements installed {need.name} {version}"


def _is_met(need: Requirement, version: str) -> bool:
    from orchlite.environments.pypa import InvalidVersion, Version

    try:
        return need.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _escaped(text: str) -> str:
    """Return one line without control characters, since metadata may hold any text."""
    return text.encode("unicode_escape").decode("ascii")
