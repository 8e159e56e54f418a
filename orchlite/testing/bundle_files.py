"""The bundle that a test runs, as the test passes it: a path, or the content of the files by name."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from orchlite.core.arguments import checked_path
from orchlite.core.errors import BadArgument

PathOrFiles = str | os.PathLike[str] | Mapping[str, str | bytes]
"""The path of a folder or ZIP, or the content of the files by name: `{"main.py": "print(1)", "data/rows.csv": "1,2"}`."""


@contextmanager
def as_path(path_or_files: PathOrFiles) -> Iterator[Path]:
    """Yield the path, or the path of a folder with these files, which is removed when the block ends.

    Raises:
        BadArgument: it is neither a path nor a mapping of names to contents, or a name is not that of a file in the folder.
    """
    if not isinstance(path_or_files, Mapping):
        yield checked_path(path_or_files)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="orchlite-given-") as folder:
        # The folder's name becomes the name of the orchestration.
        bundle = Path(folder).resolve() / "orchestration"
        bundle.mkdir()
        for name, content in path_or_files.items():
            _write(bundle / _checked_name(name), content)
        yield bundle


def _checked_name(name: object) -> PurePosixPath:
    path = PurePosixPath(name) if isinstance(name, str) and name and "\0" not in name else None
    if path is None or path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadArgument(f"{name!r:.80} is not the name of a file in a bundle.", hint='Write it as "folder/file.py".', argument="files")
    return path


def _write(path: Path, content: object) -> None:
    if not isinstance(content, str | bytes):
        raise BadArgument(f"{path.name!r:.80} is a {type(content).__name__}.", hint="It must be a string or bytes.", argument="files")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else _dedented(path, content).encode())


def _dedented(path: Path, text: str) -> str:
    """Dedent a program that a test has written as an indented string; Python would raise an IndentationError."""
    return textwrap.dedent(text) if path.suffix == ".py" and text.lstrip("\n")[:1] in (" ", "\t") else text
