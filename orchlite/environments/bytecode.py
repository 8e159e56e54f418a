"""Compile modules for the hosting interpreter without options, so that a program which imports them writes nothing beside them."""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path


def write(source: Path) -> None:
    """Write the bytecode of a file that does not change: it is never compared with its source (PEP 552, unchecked hash).

    Not by `py_compile`: up to Python 3.11 it keeps a cut-off file, without an error, if the disk is full.

    Raises:
        SyntaxError, ValueError: the source cannot be compiled.
        OSError: it cannot be written.
    """
    content = source.read_bytes()
    code = compile(content, str(source), "exec", dont_inherit=True, optimize=0)  # an import corrects the path
    # Not `cache_from_source`: PYTHONPYCACHEPREFIX may move the host's own bytecode elsewhere.
    cached = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir(mode=0o700, exist_ok=True)
    cached.write_bytes(MAGIC_NUMBER + (1).to_bytes(4, "little") + source_hash(content) + marshal.dumps(code))
