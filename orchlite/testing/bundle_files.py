"""The bundle that a test is about, as it gives it: a path, or the texts of its files by name."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument

Given = str | os.PathLike[str] | Mapping[str, str | bytes]
"""A path, or what a bundle holds: `{"main.py": "print(1)", "data/rows.csv": "1,2"}`."""


@contextmanager
def as_path(given: Given) -> Iterator[Path]:
    """The path that was given, or a folder with the files that were, which is removed at the end.

    Raises:
        BadArgument: it is neither, or a name leads out of the folder.
    """
    if not isinstance(given, Mapping):
        yield checked_path(given)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="orchlite-given-") as folder:
        # Its name becomes the orchestration's.
        bundle = Path(folder).resolve() / "orchestration"
        bundle.mkdir()
        for name, content in given.items():
            _write(bundle / _checked_name(name), content)
        yield bundle


def _checked_name(name: object) -> PurePosixPath:
    path = PurePosixPath(name) if isinstance(name, str) and name and "\0" not in name else None
    if path is None or path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadArgument(f"{name!r:.80} is no name of a file in a bundle.", hint='Write it as "folder/file.py".', argument="files")
    return path


def _write(path: Path, content: object) -> None:
    if not isinstance(content, str | bytes):
        raise BadArgument(f"{path.name!r:.80} is a {type(content).__name__}.", hint="It takes a text, or bytes.", argument="files")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else _outdented(path, content).encode())


def _outdented(path: Path, text: str) -> str:
    """A program that was written as an indented text inside a test; as it stands it would be an IndentationError."""
    return textwrap.dedent(text) if path.suffix == ".py" and text.lstrip("\n")[:1] in (" ", "\t") else text
