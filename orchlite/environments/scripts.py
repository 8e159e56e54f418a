"""Repair scripts that the system cannot start because the environment's path has a blank.

A first line `#!/my cache/…/python` names the program `/my`. For console scripts pip writes a shell's `exec` instead, but not for
ready-made scripts in a wheel; uv does for both.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_LONGEST = 127
"""Bytes of a first line that every kernel reads; Linux has read 255 since 5.1."""

_CODING = rb"[ \t\f]*#.*?coding[:=]"  # PEP 263


def mend(programs: Path) -> None:
    """Let a shell start those scripts in the folder whose first line names an interpreter in it that the kernel would not find.

    Raises:
        OSError: one cannot be written.
    """
    prefix = b"#!" + bytes(programs) + b"/"
    if not re.search(rb"\s", prefix) and len(prefix) + 32 <= _LONGEST:
        return  # the names of interpreters are shorter than that
    for script in sorted(programs.iterdir()):
        if not script.is_symlink() and script.is_file() and _begins_with(script, prefix):
            _rewrite(script)


def _begins_with(script: Path, prefix: bytes) -> bool:
    with script.open("rb") as file:
        return file.read(len(prefix)) == prefix


def _rewrite(script: Path) -> None:
    first, _, rest = script.read_bytes().partition(b"\n")
    interpreter = shlex.quote(first[2:].strip().decode(errors="surrogateescape")).encode(errors="surrogateescape")
    # The declaration of an encoding counts in the first two lines only; to the shell it is a comment.
    second, newline, tail = rest.partition(b"\n")
    coding, rest = (second + newline, tail) if re.match(_CODING, second) else (b"", rest)
    # To Python, what the shell executes is a string.
    head = b"#!/bin/sh\n" + coding + b"'''exec' " + interpreter + b' "$0" "$@"\n' + b"' '''\n"
    # In a new file: the old one may be a link into an installer's cache.
    mended = script.with_name(script.name + ".mended")
    mended.write_bytes(head + rest)
    mended.chmod(script.stat().st_mode & 0o7777)
    mended.replace(script)
