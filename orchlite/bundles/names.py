"""Which names the entries of a bundle may have. Pure rules: no file is touched.

A bad name is refused, never repaired: if `../main.py` became `main.py`, a program other than the packed one would run. Names are refused
for their effect on any common system, so that an accepted bundle unpacks to the same files everywhere. A name that ends with `/` is a
folder's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from orchlite.core.errors import BadBundle
from orchlite.core.hints import OrRaise
from orchlite.core.settings import Limits
from orchlite.core.text import quoted

COMPONENT_BYTES = 255
"""Length limit of a file name on common file systems."""

_FORWARD = "Name every entry relative to the bundle's root, with forward slashes."
_RENAME = "Rename the file and pack again."

_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"))
)
_DRIVES = tuple(f"{letter}:" for letter in "abcdefghijklmnopqrstuvwxyz")
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# Predicate of the name and its parts, complaint, hint. The first that applies is reported, so the most specific come first.
_RULES: tuple[tuple[Callable[[str, list[str]], bool], str, str], ...] = (
    (lambda name, _: not name, "has an empty name", "Pack again with a tool that names every entry."),
    (lambda name, _: "\0" in name, "has a NUL in its name", _RENAME),
    (lambda name, _: _has_category(name, "Cs"), "has a name that is not valid UTF-8", _RENAME),
    (lambda name, _: _has_category(name, "Cc", "Zl", "Zp"), "has a control character in its name", _RENAME),
    (lambda name, _: not _BIDIRECTIONAL.isdisjoint(name), "has a character in its name that changes the direction of text", _RENAME),
    (lambda name, _: "\\" in name, "has a backslash in its name", _FORWARD),
    (lambda name, _: name.startswith("/"), "has an absolute path", _FORWARD),
    (lambda name, _: name[:2].lower() in _DRIVES, "has a name that starts with a drive letter", _FORWARD),
    (lambda _, parts: ".." in parts, "climbs out of the bundle with '..'", _FORWARD),
    (lambda _, parts: "." in parts, "has '.' as a part of its path", "Name it without './'."),
    (lambda _, parts: "" in parts[:-1], "has an empty part in its path", _FORWARD),
    (lambda _, parts: any(map(_is_device, parts)), "has the name of a Windows device", _RENAME),
    (
        lambda _, parts: any(part.endswith((".", " ")) for part in parts),
        "has a part that ends with a dot or a space, which Windows drops",
        _RENAME,
    ),
)


def check_portable(name: str) -> None:
    """Check that a name is safe and means the same on every system. Limits are not checked, except that of file systems.

    Raises:
        BadBundle: with `entry`, and `limit_bytes` if a part is too long for file systems.

    """
    parts = name.split("/")
    for applies, complaint, hint in _RULES:
        if applies(name, parts):
            raise BadBundle(f"Entry {quoted(name)} {complaint}.", hint=hint, entry=name)
    # A character takes up to four bytes, so a short name has no part that is too long.
    if len(name) > COMPONENT_BYTES // 4:
        _check_components(name)


def check_name(name: str, limits: Limits) -> None:
    """Check that a name is portable, not too long and not too deep.

    Raises:
        BadBundle: with `entry`, and `limit_bytes` or `limit` if a limit is exceeded.

    """
    check_portable(name)
    path = name.rstrip("/")
    path_bytes = len(path.encode())
    if path_bytes > limits.path_bytes:
        raise BadBundle(
            f"Entry {quoted(name)} has a path of {path_bytes} bytes; the limit is {limits.path_bytes}.",
            hint="Shorten the path" + OrRaise("path_bytes") + ".",
            entry=name,
            limit_bytes=limits.path_bytes,
        )
    depth = path.count("/") + 1
    if depth > limits.depth:
        raise BadBundle(
            f"Entry {quoted(name)} is {depth} levels deep; the limit is {limits.depth}.",
            hint="Pack fewer nested folders" + OrRaise("depth") + ".",
            entry=name,
            limit=limits.depth,
        )


def check_collisions(names: Iterable[str]) -> None:
    """Check that no two names are the same file on any system: equal, equal but for case or Unicode form, or both file and folder.

    Raises:
        BadBundle: with `entry`, the later of the two, and `other`.

    """
    seen: set[str] = set()
    claims: dict[str, str] = {}
    for name in names:
        if name in seen:
            raise BadBundle(f"Entry {quoted(name)} occurs twice.", hint="Pack again with each file once.", entry=name, other=name)
        seen.add(name)
        for path in _with_folders(name):
            _check_claim(path, claims.setdefault(_folded(path), path), name)


def is_junk(name: str) -> bool:
    """Return whether desktop systems add a file with this name to archives and folders: `.DS_Store`, `Thumbs.db`, `._*`, `__MACOSX`."""
    *folders, last = name.split("/")
    if "__MACOSX" in folders or last == ".DS_Store" or last.lower() == "thumbs.db":
        return True
    return last.startswith("._") or any(folder.startswith("._") for folder in folders)


def folders_of(name: str) -> Iterator[str]:
    """Yield the folders that an entry is in, outermost first, without the final `/`; a folder's own name comes last."""
    position = name.find("/")
    while position >= 0:
        yield name[:position]
        position = name.find("/", position + 1)


def _has_category(name: str, *categories: str) -> bool:
    # Printable text has none of these categories, and nearly every name is printable.
    if name.isprintable():
        return False
    from unicodedata import category

    return any(category(character) in categories for character in name)


def _is_device(part: str) -> bool:
    return part.partition(".")[0].rstrip(" ").lower() in _DEVICES


def _check_components(name: str) -> None:
    for component in name.split("/"):
        length = len(component.encode())
        if length > COMPONENT_BYTES:
            raise BadBundle(
                f"Entry {quoted(name)} has a part of {length} bytes in its path; file systems store up to {COMPONENT_BYTES}.",
                hint="Shorten the name.",
                entry=name,
                limit_bytes=COMPONENT_BYTES,
            )


def _with_folders(name: str) -> Iterator[str]:
    for folder in folders_of(name):
        yield f"{folder}/"
    if not name.endswith("/"):
        yield name


def _check_claim(path: str, claimant: str, name: str) -> None:
    if claimant == path:
        return
    mine, other = path.rstrip("/"), claimant.rstrip("/")
    complaint = (
        f"{quoted(mine)} is both a file and a folder"
        if mine == other
        else f"{quoted(other)} and {quoted(mine)} differ only by case or Unicode form, so that they are one file on some systems"
    )
    raise BadBundle(f"In the bundle {complaint}.", hint="Rename one of them.", entry=name, other=claimant)


def _folded(path: str) -> str:
    # Canonical caseless matching: Unicode standard, definition D145.
    path = path.rstrip("/")
    if path.isascii():
        return path.lower()
    from unicodedata import normalize

    return normalize("NFD", normalize("NFD", path).casefold())
