"""The ZIPs that a node needs to execute a run: orchlite's code, the bundle, and the job's document.

Equal content gives equal bytes, so that a cluster that keeps packages by their content gets code and bundle once. Unpacked, the code
belongs on PYTHONPATH, the document in the folder in which the node program is started, and the bundle in either.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from orchlite.core.files import sources_of
from orchlite.runs import job_document

COMMAND = ("python", "-m", "orchlite.node")
"""The node program; the interpreter is the node's."""

_PACKAGE = Path(__file__).parents[1]
_EXCLUDED = frozenset({"cli", "manual", "ray", "rest", "testing", "web", "__pycache__"})
_EXCLUDED_FILES = frozenset({"__main__.py", "pytest_plugin.py"})


@cache
def code() -> bytes:
    """Return the ZIP of what a node needs of orchlite: all but what talks to people, other programs and clusters."""
    files = ((str(inside), source) for inside, source in sources_of(_PACKAGE, _EXCLUDED) if str(inside) not in _EXCLUDED_FILES)
    return _zipped(((f"orchlite/{name}", source.read_bytes()) for name, source in files), ZIP_DEFLATED)


def bundle(path: Path, sha: str) -> bytes:
    """Return a ZIP with a stored bundle in it: a cluster unpacks what it receives, and the node needs the bundle as it was uploaded.

    Raises:
        OSError: the bundle cannot be read.
    """
    return _zipped([(bundle_name(sha), path.read_bytes())], ZIP_STORED)


def bundle_name(sha: str) -> str:
    """Return the name of the bundle's file on a node."""
    return f"{sha}.zip"


def document(content: bytes) -> bytes:
    """Return the ZIP of the document of one job."""
    return _zipped([(job_document.NAME, content)], ZIP_DEFLATED)


def _zipped(files: Iterable[tuple[str, bytes]], compression: int) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in files:
            entry = ZipInfo(name)  # the time is that of the year 1980
            entry.create_system, entry.external_attr, entry.compress_type = 3, 0o100600 << 16, compression
            archive.writestr(entry, content, compresslevel=9)
    return buffer.getvalue()
