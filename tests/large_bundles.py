"""Makes bundles too large to be packaged by the thread that uploads them, so that a worker packages them, in its turn."""

from hashlib import sha256
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

_LINES = 2_000


def files(program: str) -> dict[str, str]:
    """Return the files of a program's bundle of more than 32 KiB."""
    return {"main.py": program, "filler.txt": "\n".join(sha256(b"%d" % number).hexdigest() for number in range(_LINES))}


def packed(program: str) -> bytes:
    """Return that bundle as the bytes of a ZIP."""
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files(program).items():
            archive.writestr(name, content)
    return buffer.getvalue()
