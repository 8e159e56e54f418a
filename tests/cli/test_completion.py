"""`completion`: a real shell reads the script, and Tab completes words."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite.testing import ManualClock, StubProcess

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]
PressTab = Callable[[str, str], None]
Completed = Callable[..., list[str]]

_PATIENCE_SECONDS = 30.0


@pytest.fixture
def wl(store: Path) -> Iterator[orchlite.Client]:
    """A client of the store that executes nothing."""
    with orchlite.Client(store, clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), process=StubProcess("success", 60)) as client:
        yield client
        client.close(drain=False)


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


@pytest.mark.slow
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


@pytest.fixture
def completed(call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the words that a shell gets for these words, to complete the last one."""

    def complete(*words: str) -> list[str]:
        with monkeypatch.context() as patch:
            for name, value in {"_ORCHLITE_COMPLETE": "zsh_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": len(words) - 1}.items():
                patch.setenv(name, str(value))
            return call().output.splitlines()[1::3]  # kind, word, help

    return complete


def test_a_shell_completes_each_name_once_and_before_ids(wl: orchlite.Client, folder: MakeFolder, completed: Completed) -> None:
    uploads = [wl.upload_orchestration(path=folder(f"print({number})"), name="greeting").wait() for number in range(3)]
    task = uploads[0].run_scheduled("nightly", "@daily")
    words = completed("orchlite", "show", "")
    assert words[:2] == ["greeting", "nightly"]
    assert sorted(words[2:]) == sorted([*(one.id()[:8] for one in uploads), task.id()[:8]])
    task.kill()
    offering = {verb for verb in ("show", "logs", "runs", "kill", "pause") if "nightly" in completed("orchlite", verb, "night")}
    assert offering == {"show", "logs", "runs"}


def test_a_shell_completes_verbs_options_ids_connections_and_zones(
    wl: orchlite.Client, smallest_bundle: bytes, completed: Completed
) -> None:
    task = wl.upload_orchestration(smallest_bundle).wait().run_scheduled("nightly", "@daily")
    runs = [task.run_now().id() for _ in range(12)]
    wl.create_connection("mail", "smtp")
    assert completed("orchlite", "sch") == ["schedule"]
    assert completed("orchlite", "run", "--det") == ["--detach"]
    assert completed("orchlite", "kill", "")[2:] == [run[:8] for run in reversed(runs)][:10]  # after the task's name and id
    assert completed("orchlite", "rerun", runs[0][:8]) == [runs[0][:8]]  # also an older one
    assert completed("orchlite", "connections", "update", "m") == ["mail"]
    assert completed("orchlite", "upcoming", "--timezone", "europe/berl") == ["Europe/Berlin"]


def test_nothing_is_completed_without_a_store_or_from_a_damaged_one(store: Path, completed: Completed) -> None:
    assert completed("orchlite", "logs", "") == []
    assert not store.exists()
    store.mkdir()
    (store / "store.sqlite").write_text("no database")
    assert completed("orchlite", "logs", "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(call: Call, shell: str) -> None:
    script = call("completion", shell).stdout
    assert f"_ORCHLITE_COMPLETE={shell}_complete" in script
    found = shutil.which(shell)
    if found is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True)  # check the syntax only
