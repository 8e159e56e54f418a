"""Read which modules the Python files of a bundle import, and which it has itself.

A quick scan finds the files that may import something unknown; only those are parsed, in a child process with limits. What exceeds a limit
is left out, and so are tests, which no run imports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from orchlite.bundles.archive import Entry
from orchlite.bundles.bundle import read_files
from orchlite.bundles.compiler_process import imports_of

_FILE_BYTES = 1024 * 1024
_READ_BYTES = 4 * 1024 * 1024
_SCANNED_BYTES = 32 * 1024
"""What is scanned in 5 ms."""
_PARSED_BYTES = 512 * 1024
"""A quarter of a second of the child's time."""

_TEST = re.compile(r"(?:.*/)?(?:tests?/.*|test_[^/]*|[^/]*_test\.py|conftest\.py|setup\.py|noxfile\.py)")
_MODULE_FILE = re.compile(r"(?:.*/)?(?P<module>\w+)(?:\.[\w-]+)?\.(?:py|pyc|so)")
_STATEMENT = re.compile(
    rb"(?:^|[\r:;])[ \t\f]*(?:import\b(?P<modules>[^\r\n;#]*)|from\b(?P<module>[^\r\n;:#]*?)(?:\bimport\b|\\))", re.MULTILINE
)
"""What may be an import. It finds more, in texts and comments, and hardly less. In linear time: no match begins inside another attempt."""
_CHANGES_PATH = re.compile(rb"\bsys\.path\b|addsitedir|meta_path|path_hooks|PYTHONPATH|\bpip\b")
"""What a program contains that finds modules elsewhere, or installs them."""


class Import(NamedTuple):
    """A module that a bundle imports."""

    module: str
    """The top-level name."""
    file: str
    line: int
    is_optional: bool
    """Whether the program can do without, as far as one import shows: it catches the error."""


class BundleImports(NamedTuple):
    """What `read_imports` found."""

    imports: tuple[Import, ...]
    """One for each module, in the order of the files, the entrypoint first; the first place that imports it."""
    changes_path: bool
    """Whether a file seems to change where modules are found, so that a run may find those that are missing here."""


def read_imports(path: Path, entrypoint: str, is_known: Callable[[str], bool]) -> BundleImports:
    """Return the modules that the bundle at `path` imports, but not those that it has itself, nor those for which `is_known` is true.

    Blocks for the time it takes to read the files; then, if any may import an unknown module, for that of a child process.

    Raises:
        BadBundle: the bundle is damaged.
        OSError: the bundle cannot be read.

    """
    names, sources = read_files(path, lambda entries: _chosen(entries, entrypoint))
    own = {module for name in names for module in _modules_of(name)}
    suspects = dict(_suspects(sources, lambda module: module in own or is_known(module)))
    found = [each for each in _parsed(suspects) if each.module not in own and not is_known(each.module)]
    return BundleImports(tuple(_first_of_each(found)), any(map(_CHANGES_PATH.search, sources.values())))


def imports_nothing_else(path: Path, entrypoint: str, is_known: Callable[[str], bool]) -> bool:
    """Return whether a scan of little text, which takes no child process, shows that `read_imports` would find no module.

    Raises:
        BadBundle, OSError: as `read_imports`.
    """
    names, sources = read_files(path, lambda entries: _chosen(entries, entrypoint, _SCANNED_BYTES))
    own = {module for name in names for module in _modules_of(name)}
    is_all = all(name in sources for name in names if name == entrypoint or (name.endswith(".py") and not _TEST.fullmatch(name)))
    return is_all and not any(_suspects(sources, lambda module: module in own or is_known(module)))


def _chosen(entries: Sequence[Entry], entrypoint: str, limit_bytes: int = _READ_BYTES) -> list[Entry]:
    """Return the entries to read: the entrypoint, then other programs, those in the outermost folders first."""
    programs = [
        entry
        for entry in entries
        if entry.name.endswith(".py") and entry.size_bytes <= _FILE_BYTES and (entry.name == entrypoint or not _TEST.fullmatch(entry.name))
    ]
    programs.sort(key=lambda entry: (entry.name != entrypoint, entry.name.count("/"), entry.name))
    return [programs[index] for index in _within([entry.size_bytes for entry in programs], limit_bytes)]


def _within(sizes: Sequence[int], limit_bytes: int) -> Iterator[int]:
    """Yield the indexes of the first sizes that together stay within the limit."""
    total_bytes = 0
    for index, size_bytes in enumerate(sizes):
        total_bytes += size_bytes
        if total_bytes > limit_bytes:
            return
        yield index


def _modules_of(name: str) -> Iterator[str]:
    """Yield the names under which a file can be imported: its own, and those of its folders. Any folder may be put on `sys.path`."""
    if found := _MODULE_FILE.fullmatch(name):
        yield found["module"]
        yield from name.split("/")[:-1]


def _suspects(sources: Mapping[str, bytes], is_known: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    total_bytes = 0
    for name, source in sources.items():
        if all(map(is_known, _mentioned(source))):
            continue
        total_bytes += len(source)
        if total_bytes > _PARSED_BYTES:
            return
        yield name, source


def _mentioned(source: bytes) -> Iterator[str]:
    """Yield the top-level names that a source may import. Relative imports are left out."""
    for found in _STATEMENT.finditer(source):
        modules = found["modules"].split(b",") if found["module"] is None else [found["module"]]
        for module in modules:
            if words := module.split(b".")[0].split():
                yield words[0].decode(errors="replace")


def _parsed(sources: Mapping[str, bytes]) -> Iterator[Import]:
    records = imports_of([*sources.values()]) if sources else []
    files = iter(sources)
    file = next(files, "")
    for record in records:
        if record.kind == "done":
            file = next(files, "")
        else:
            yield Import(record.text, file, record.line or 1, record.kind == "optional")


def _first_of_each(imports: Sequence[Import]) -> Iterator[Import]:
    """Yield the first import of each module, optional if any of them is: one may find out whether the others are executed."""
    optional = {each.module for each in imports if each.is_optional}
    seen = set[str]()
    for each in imports:
        if each.module not in seen:
            seen.add(each.module)
            yield each._replace(is_optional=each.module in optional)
