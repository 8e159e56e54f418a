"""Control sequences in programs' output: a terminal gets colours only, a pipe gets the bytes as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.core.escapes import without_sequences

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_TEXT = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\ttab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *(("plain März 📈", "plain März 📈"), ("a\tb\rc\n", "a\tb\rc\n"), ("", "")),
        *(("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"), ("\x1b[mx", "\x1b[mx"), ("\x1b[38:5:1mx", "\x1b[38:5:1mx")),
        *(("\x1b[2J\x1b[Hx", "x"), ("\x1b[?1049hx", "x"), ("\x1b[6nx", "x"), ("\x1b[>0qx", "x"), ("\x1b[1 qx", "x"), ("\x9b2Jx", "x")),
        *(
            ("\x1b]0;title\x07x", "x"),
            ("\x1b]52;c;aGk=\x1b\\x", "x"),
            ("\x9d0;t\x9cx", "x"),
            ("\x1b]8;;http://h\x07link\x1b]8;;\x07", "link"),
        ),
        *(("\x1bPq#0\x1b\\x", "x"), ("\x1b_G\x1b\\x", "x"), ("\x1bX\x1b\\x", "x"), ("\x1b^a\x1b\\x", "x")),
        *(("\x1bcx", "x"), ("\x1b7x", "x"), ("\x1b(0x", "x"), ("\x1b#8x", "x"), ("\x1b=x", "x")),
        *(("a\x08b\x07c\x00d\x7fe\x0bf", "abcdef"), ("\x85x\x9cy", "xy")),
        *(("x\x1b", "x"), ("x\x1b[", "x"), ("x\x1b[3", "x3"), ("x\x1b]0;never ends", "x0;never ends"), ("\x1b[31\x1b[2Jmx", "31mx")),
    ],
)
def test_a_terminal_gets_no_sequences_but_colours(text: str, shown: str) -> None:
    assert without_sequences(text) == shown


def _on_a_terminal(*words: object) -> bytes:
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(orchlite.__file__).parents[1])}
    command = [sys.executable, "-m", "orchlite", *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, env=env) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # EIO: the other end is closed
                break
            if not data:
                break
            shown += data
        process.wait()
    os.close(ours)
    return shown.replace(b"\r\n", b"\n")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "logs"])
def test_run_and_logs_pass_colours_to_a_terminal_and_everything_if_raw(call: Call, folder: MakeFolder, verb: str) -> None:
    program = folder(f"print({_TEXT!r})\n")
    piped = call("run", program)
    assert piped.stdout == f"{_TEXT}\n"
    assert call("logs").stdout == f"{_TEXT}\n"
    words = ["run", program] if verb == "run" else ["logs"]
    assert _on_a_terminal(*words) == b"\x1b[31mred\x1b[0m\ttab\n"
    assert _on_a_terminal(*words, "--raw") == f"{_TEXT}\n".encode()
