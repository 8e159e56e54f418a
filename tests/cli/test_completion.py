"""`completion`: a real shell reads the script, and Tab completes words."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]
PressTab = Callable[[str, str], None]

_PATIENCE_SECONDS = 30.0


@pytest.fixture
def press_tab(tmp_path: Path, store: Path) -> Iterator[PressTab]:
    """Type words into a bash that has read the script, press Tab, await the line: `press_tab("orchlite sch", "orchlite schedule ")`."""
    bash = shutil.which("bash")
    assert bash is not None
    command = tmp_path / "bin" / "orchlite"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m orchlite "$@"\n')
    command.chmod(0o755)
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [bash, "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "TERM": "dumb",  # no escape sequences
            "PS1": "$ ",
            "ORCHLITE_STORE": str(store),
            "PYTHONPATH": str(Path(orchlite.__file__).parents[1]),
        },
    ) as shell:
        os.write(ours, b'eval "$(orchlite completion bash)"; echo r""ead\n')
        _await(ours, "read\r\n")

        def press(typed: str, line: str) -> None:
            os.write(ours, f"\x15{typed}\t".encode())  # Ctrl-U: on an empty line
            _await(ours, line)

        yield press
        shell.kill()
    os.close(ours)
    os.close(theirs)


def _await(terminal: int, text: str) -> None:
    shown, give_up_at = b"", time.monotonic() + _PATIENCE_SECONDS
    while text.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, give_up_at - time.monotonic()))
        assert ready, f"no {text!r} in {shown.decode()!r}"
        shown += os.read(terminal, 65_536)


def test_bash_completes_a_verb_and_a_name(call: Call, folder: MakeFolder, press_tab: PressTab) -> None:
    call("upload", folder("print(1)"), "--name", "report")
    press_tab("orchlite sch", "orchlite schedule ")
    press_tab("orchlite show rep", "orchlite show report ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("nightly report", "ni", "nightly\\ report "),
        ("x;touch PWNED", "x", "x\\;touch\\ PWNED "),
        ("y$(touch PWNED)", "y", "y\\$\\(touch\\ PWNED\\) "),
        ("z`touch PWNED`", "z", "z\\`touch\\ PWNED\\` "),
        ("w&touch PWNED", "w", "w\\&touch\\ PWNED "),
        ("v'touch \"PWNED", "v", "v\\'touch\\ \\\"PWNED "),
    ],
)
def test_bash_inserts_names_as_quoted_text(call: Call, folder: MakeFolder, press_tab: PressTab, name: str, typed: str, line: str) -> None:
    call("upload", folder("print(1)"), "--name", name)
    press_tab(f"orchlite show {typed}", f"orchlite show {line}")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(call: Call, shell: str) -> None:
    script = call("completion", shell).stdout
    assert f"_ORCHLITE_COMPLETE={shell}_complete" in script
    found = shutil.which(shell)
    if found is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True)  # check the syntax only
