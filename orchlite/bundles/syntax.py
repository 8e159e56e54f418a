"""Check that Python can compile a bundle's program, in a child process with limits on time and memory.

What exceeds the limits is accepted with a warning: it may well run, and an upload does not wait for it.
"""

from __future__ import annotations

from orchlite.bundles.compiler_process import compiled
from orchlite.core.errors import BadBundle
from orchlite.core.sizes import size_text
from orchlite.core.text import quoted

SOURCE_BYTES = 1024 * 1024
"""Programs of this size or more are not compiled at upload."""


def check_source(source: bytes, name: str) -> list[str]:
    """Check that Python can compile a program; return warnings about it, the compiler's own included.

    Blocks for about 20 ms, unless the same small program was checked before; at most until the child has used 2 s of CPU
    time, or 10 s have passed. Threads take turns.

    Raises:
        BadBundle: with `entry` and `line`, which is None if unknown.

    """
    if len(source) >= SOURCE_BYTES:
        return [_unchecked(name, f"it has {size_text(SOURCE_BYTES)} or more")]
    records, reason = compiled(source)
    for record in records:
        if record.kind == "error":
            line = record.line or _line_of_nul(source)
            place = quoted(name) if line is None else f"{quoted(name)}, line {line},"
            raise BadBundle(f"{place} {record.text}.", hint="Try `python -m py_compile main.py`.", entry=name, line=line)
    found = [f"{quoted(name)}, line {record.line}: {record.text}" for record in records if record.kind == "warning"]
    if any(record.kind == "empty" for record in records):
        found.append(f"{quoted(name)} is empty: a run of it does nothing.")
    if not any(record.kind == "done" for record in records):
        found.append(_unchecked(name, reason))
    return found


def _unchecked(name: str, reason: str) -> str:
    return f"{quoted(name)} was not checked for syntax errors: {reason}."


def _line_of_nul(source: bytes) -> int | None:
    position = source.find(b"\0")
    return source.count(b"\n", 0, position) + 1 if position >= 0 else None
