"""A runner that is killed while it starts its program: until that has begun, it holds the lock of the run, and no longer the pipe."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from orchlite.core.folders import RunFolder
from orchlite.runs.runners import Runners
from orchlite.runs.spec import NeverStarted, Observation, RunSpec


def _pid(diagnostics: Path) -> int:
    """The one runner that says there what breaks it."""
    links = (path / "fd" / "2" for path in Path("/proc").glob("[0-9]*"))
    [link] = [link for link in links if os.access(link, os.R_OK) and link.readlink() == diagnostics]
    return int(link.parts[2])


def test_is_waited_for_until_nobody_owns_the_run(runners: Runners, make_spec: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = make_spec()
    folder = RunFolder(Path(spec.folder))
    observations: list[Observation] = []
    waiting = threading.Thread(target=lambda: observations.append(runners.wait(folder)))
    with folder.alive_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # in the place of the program
        runners.place(spec)
        os.kill(_pid(tmp_path / "runners.log"), signal.SIGKILL)
        waiting.start()
        waiting.join(0.5)
        assert observations == []
    waiting.join()
    assert isinstance(observations[0], NeverStarted)
