"""Finds uv: on the search path, or beside the hosting interpreter, where its package puts it; and asks it for its version."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

_PATIENCE_SECONDS = 10.0


def find() -> Path | None:
    """The uv to use, whatever its version; None where there is none."""
    from shutil import which

    found = which("uv") or which("uv", path=str(Path(sys.prefix, "bin")))
    return Path(found).absolute() if found else None


def version(program: Path) -> str | None:
    """The version that it names; None where it does not answer. Asked once, until the file changes."""
    try:
        found = program.stat()
    except OSError:
        return None
    return _asked(program, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _asked(program: Path, _changed_at: int, _size_bytes: int) -> str | None:
    from subprocess import DEVNULL, SubprocessError, run

    env = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    try:
        done = run([program, "--version"], capture_output=True, stdin=DEVNULL, text=True, timeout=_PATIENCE_SECONDS, env=env, check=True)
    except (OSError, SubprocessError, UnicodeError):
        return None
    named = re.match(r"uv (\d+(?:\.\w+)+)", done.stdout)
    return named[1] if named else None
