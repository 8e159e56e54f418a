"""The files of a form that uploads a bundle: a ZIP, or the files of a folder with their paths in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.datastructures import FormData, UploadFile

from orchlite.core.errors import BadArgument, BadBundle
from orchlite.core.files import private_opener
from orchlite.core.system_errors import shortages
from orchlite.core.text import quoted

_COPIED_BYTES = 1024 * 1024
_NAME_BYTES = 255
_PATH_BYTES, _MOST_PARTS = 2048, 100
"""What can be written, and removed again; a bundle has narrower limits, which are checked later."""


@contextmanager
def received_bundle(form: FormData) -> Iterator[tuple[Path, str]]:
    """Write what was sent to a temporary place, and yield the path of the ZIP or of the folder, and its name. It is removed at the end.

    Raises:
        BadArgument: the form has no file, or a ZIP and other files, or it was cut off.
        BadBundle: a path leads out of the folder, or two files have one path.
        StorageFull, ResourceExhausted: there is no room.
    """
    files = [each for each in form.getlist("file") if isinstance(each, UploadFile) and each.filename]
    if form.get("complete") != "1":
        raise BadArgument("The upload was cut off.", hint="Nothing was stored; send it again.", argument="file")
    if not files:
        raise BadArgument("There is no file.", hint="Choose a folder that holds main.py, or a ZIP.", argument="file")
    with shortages("The upload cannot be written"), TemporaryDirectory(prefix="orchlite-upload-") as temporary:
        if len(files) == 1 and "/" not in _name(files[0]):
            path = Path(temporary, "bundle.zip")
            _write(files[0], path)
            yield path, _name(files[0])
        else:
            yield _written_folder(files, Path(temporary))


def _written_folder(files: Sequence[UploadFile], temporary: Path) -> tuple[Path, str]:
    paths = [_checked_parts(_name(file)) for file in files]
    tops = {parts[0] for parts in paths}
    if len(tops) > 1 or any(len(parts) == 1 for parts in paths):
        raise BadArgument("Several things were sent.", hint="Choose one folder, or one ZIP.", argument="file")
    folder = temporary / "folder"
    folder.mkdir()
    for file, (_, *parts) in zip(files, paths, strict=True):
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(file, path)
        except (FileExistsError, NotADirectoryError):
            raise BadBundle(f"Two files have the path {quoted('/'.join(parts))}.", hint="Rename one.", entry="/".join(parts)) from None
    return folder, tops.pop()


def _checked_parts(name: str) -> list[str]:
    parts = name.split("/")
    is_wrong = any(part in ("", ".", "..") or "\0" in part or _length(part) > _NAME_BYTES for part in parts)
    if is_wrong or len(parts) > _MOST_PARTS or _length(name) > _PATH_BYTES:
        raise BadBundle(f"{quoted(name)} is not a path inside a folder, or is too long.", hint="Rename it.", entry=name)
    return parts


def _length(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _name(file: UploadFile) -> str:
    return file.filename or ""


def _write(file: UploadFile, path: Path) -> None:
    with open(path, "xb", opener=private_opener) as target:
        shutil.copyfileobj(file.file, target, _COPIED_BYTES)
