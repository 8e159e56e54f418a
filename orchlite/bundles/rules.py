"""What the entries of a bundle may be, and which are its entrypoint and its requirements. Pure rules.

`archive` has checked the layout of the ZIP before; `names` has the rules for names.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterable, Sequence

from orchlite.bundles.archive import DEFLATED, ENCRYPTED_FLAGS, STORED, Entry
from orchlite.bundles.names import check_collisions, check_name, check_portable, folders_of, is_junk
from orchlite.core.errors import BadBundle
from orchlite.core.hints import OrRaise
from orchlite.core.records import JunkWarning
from orchlite.core.settings import Limits
from orchlite.core.sizes import over_text, size_text
from orchlite.core.text import listed, quoted

ENTRYPOINT, REQUIREMENTS = "main.py", "requirements.txt"
_LOOKALIKE = (
    r"requirements?(?:(?:[-_.]\w+)*\.(?:txt|in|pip))?|reqs?\.txt|pipfile|(?:conda[-_]?)?environment\.ya?ml|conda(?:[-_]env)?\.ya?ml"
)
"""Names of files that other tools install from, or that were meant to be the requirements; in lower case."""

_LISTED = 20


def check_entries(entries: Sequence[Entry], limits: Limits) -> tuple[list[Entry], list[str]]:
    """Check what the entries declare; return those to unpack, and the names of those to skip.

    Raises:
        BadBundle: with `entry` if one is to blame, and `limit_bytes` or `limit` if a limit is exceeded.

    """
    for entry in entries:
        _check_entry(entry, limits)
    _check_total(entries, limits)
    kept = [entry for entry in entries if not is_junk(entry.name)]
    for entry in kept:
        check_name(entry.name, limits)
    check_collisions(entry.name for entry in kept)
    return kept, [entry.name for entry in entries if is_junk(entry.name)]


def find_entrypoint(names: Sequence[str], skipped: Sequence[str] = ()) -> str:
    """Return the `main.py` at the root, else the first one in the order of the archive.

    Raises:
        BadBundle: there is none; the hint names a file that resembles one.

    """
    found = [name for name in names if _last(name) == ENTRYPOINT]
    if ENTRYPOINT in found:
        return ENTRYPOINT
    if found:
        return found[0]
    raise BadBundle("The bundle has no main.py.", hint=_hint_for_missing(names, skipped), entry=ENTRYPOINT)


def find_requirements(names: Sequence[str]) -> str | None:
    """Return the one `requirements.txt`, in any folder and in any case, or None if there is none.

    Raises:
        BadBundle: there are several (`entry` and `other`), or it is a folder (`entry`).

    """
    for name in names:
        for folder in folders_of(name):
            if _last(folder).lower() == REQUIREMENTS:
                raise BadBundle(f"{quoted(folder)} is a folder, not a file of requirements.", hint="Rename the folder.", entry=folder)
    found = [name for name in names if _last(name).lower() == REQUIREMENTS]
    if len(found) > 1:
        raise BadBundle(
            f"The bundle has {len(found)} requirements files: {_listing(found)}.",
            hint="Put all requirements into one requirements.txt.",
            entry=found[1],
            other=found[0],
        )
    return found[0] if found else None


def name_warnings(names: Sequence[str], skipped: Sequence[str], entrypoint: str, requirements: str | None) -> list[str]:
    """Return warnings about the names of an accepted bundle: shadowed modules, other entrypoints, skipped junk, odd spelling.

    Also where relative paths start if that is not beside the entrypoint, and files that are no requirements but resemble them.
    """
    found = [
        f"{quoted(name)} has the name of a module of the standard library: imports may find it instead."
        for name in _shadows(names, entrypoint)
    ]
    found += _other_entrypoints(names, entrypoint)
    found += _working_folder_warnings(names, entrypoint)
    found += [] if requirements else _lookalike_warnings(names)
    if skipped:
        found.append(JunkWarning(f"Skipped, as left by a desktop system: {_listing(skipped)}."))
    if requirements and _last(requirements) != REQUIREMENTS:
        found.append(f"{quoted(requirements)} is taken for {REQUIREMENTS}; write its name in lower case.")
    return found


# --- Entries


def _check_entry(entry: Entry, limits: Limits) -> None:
    check_portable(entry.name)
    _check_type(entry)
    if entry.flags & ENCRYPTED_FLAGS:
        raise BadBundle(f"Entry {quoted(entry.name)} is encrypted.", hint="Pack again without a password.", entry=entry.name)
    if entry.method not in (STORED, DEFLATED):
        complaint = f"Entry {quoted(entry.name)} uses compression method {entry.method}; only stored (0) and deflated (8) are supported."
        raise BadBundle(complaint, hint="Pack again with `zip -r`, or give the folder itself.", entry=entry.name, method=entry.method)
    _check_sizes(entry, limits)


def _check_type(entry: Entry) -> None:
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        hint = "Pack the file that it points to (`zip -r` without --symlinks)."
        raise BadBundle(f"Entry {quoted(entry.name)} is a symbolic link.", hint=hint, entry=entry.name)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        hint = "Pack only files and folders."
        raise BadBundle(f"Entry {quoted(entry.name)} is a device, a pipe or a socket.", hint=hint, entry=entry.name)
    if kind == stat.S_IFDIR and not entry.is_folder:
        hint = "Pack again with another tool."
        raise BadBundle(f"Entry {quoted(entry.name)} is marked as a folder but named as a file.", hint=hint, entry=entry.name)


def _check_sizes(entry: Entry, limits: Limits) -> None:
    size_bytes, compressed_bytes = entry.size_bytes, entry.compressed_bytes
    if entry.is_folder and size_bytes:
        hint = "Pack again with another tool."
        raise BadBundle(f"Entry {quoted(entry.name)} is a folder with {size_bytes} bytes of data.", hint=hint, entry=entry.name)
    if size_bytes > limits.entry_bytes:
        raise BadBundle(
            f"Entry {quoted(entry.name)} unpacks to {over_text(size_bytes, limits.entry_bytes)}.",
            hint="Leave it out and let the program fetch it" + OrRaise("entry_bytes") + ".",
            entry=entry.name,
            limit_bytes=limits.entry_bytes,
        )
    if size_bytes > limits.ratio_free_bytes and size_bytes > compressed_bytes * limits.ratio:
        sizes = f"from {size_text(compressed_bytes)} to {size_text(size_bytes)}"
        raise BadBundle(
            f"Entry {quoted(entry.name)} unpacks {sizes}; the limit is {limits.ratio} to 1.",
            hint="Store it unpacked (`zip -0`)" + OrRaise("ratio") + ".",
            entry=entry.name,
            limit=limits.ratio,
        )


def _check_total(entries: Iterable[Entry], limits: Limits) -> None:
    total_bytes = sum(entry.size_bytes for entry in entries)
    if total_bytes > limits.unpacked_bytes:
        raise BadBundle(
            f"The bundle unpacks to {over_text(total_bytes, limits.unpacked_bytes)}.",
            hint="Leave large files out and let the program fetch them" + OrRaise("unpacked_bytes") + ".",
            limit_bytes=limits.unpacked_bytes,
        )


# --- Entrypoint


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _hint_for_missing(names: Sequence[str], skipped: Sequence[str]) -> str:
    for name in names:
        if _last(name).lower() == ENTRYPOINT:
            return f"Rename {quoted(name)} to main.py: upper and lower case differ."
        if any(_last(folder).lower() == ENTRYPOINT for folder in folders_of(name)):
            return "There is a folder with that name: put the program into a file main.py."
    if any(_last(name) == f"._{ENTRYPOINT}" for name in skipped):
        return "There is only the metadata that macOS keeps about a main.py: pack main.py itself."
    programs = [name for name in names if name.endswith(".py")]
    if len(programs) == 1:
        return f"Rename {quoted(programs[0])} to main.py: that is the file that a run starts."
    return "Add one: it is the file that a run starts."


def _other_entrypoints(names: Sequence[str], entrypoint: str) -> list[str]:
    others = [name for name in names if _last(name) == ENTRYPOINT and name != entrypoint]
    if not others:
        return []
    way_out = "" if entrypoint == ENTRYPOINT else " Give the folder of the right one, or leave the others out."
    return [f"{len(others) + 1} files are named {ENTRYPOINT}: a run starts {quoted(entrypoint)}, not {_listing(others)}.{way_out}"]


def _working_folder_warnings(names: Sequence[str], entrypoint: str) -> list[str]:
    folder = entrypoint.removesuffix(ENTRYPOINT)
    if not folder:
        return []
    way_out = ""
    if all(name.startswith(folder) for name in names):
        way_out = f" To have them start in {quoted(folder)}, pack what is in that folder, not the folder itself."
    return [f"A run starts {quoted(entrypoint)} in the bundle's root: relative paths start there, not in {quoted(folder)}.{way_out}"]


def _lookalike_warnings(names: Sequence[str]) -> list[str]:
    found = [name for name in names if re.fullmatch(_LOOKALIKE, _last(name).lower())]
    return [f"Nothing is installed from {_listing(found)}: only a file named {REQUIREMENTS} is read."] if found else []


def _shadows(names: Sequence[str], entrypoint: str) -> list[str]:
    beside = re.compile(re.escape(entrypoint.removesuffix(ENTRYPOINT)) + r"(\w+)(?:\.py|/__init__\.py)")
    matches = [match for name in names if (match := beside.fullmatch(name))]
    return [match.string for match in matches if match[1] in sys.stdlib_module_names]


def _listing(names: Sequence[str]) -> str:
    return listed([quoted(name) for name in names], _LISTED)
