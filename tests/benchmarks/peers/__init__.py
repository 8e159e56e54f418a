"""The same program by APScheduler, huey, MLflow Projects and nox, each in an environment of its own, against bare.

*tuned* waits as little as its settings allow, and runs in a process that lives on where it can; *shipped* is what its documentation begins
with. The environments are made in a cache folder at the first use. What each leaves out is in the manual's page `speed`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import Action, interleaved, ratio, report, summary

_HERE = Path(__file__).parent
_REQUIREMENTS = {
    "apscheduler": ("APScheduler==3.11.3", "SQLAlchemy==2.0.51"),
    "huey": ("huey==3.5.4",),
    "mlflow": ("mlflow==3.17.2",),
    "nox": ("nox==2026.10.20",),
}
_ROUNDS = 25
_SLOW_ROUNDS = 5


class _Peer(NamedTuple):
    """A way to run the program: `arguments` of a driver that lives on, or of a command that is started for each run."""

    name: str
    package: str
    arguments: tuple[str, ...]
    lives_on: bool = True


_PEERS = (
    _Peer("APScheduler, memory, as shipped", "apscheduler", ("in_apscheduler.py", "memory")),
    _Peer("APScheduler, SQLite, as shipped", "apscheduler", ("in_apscheduler.py", "sqlite")),
    _Peer("huey, SQLite, tuned", "huey", ("in_huey.py", "tuned")),
    _Peer("huey, SQLite, as shipped", "huey", ("in_huey.py", "shipped")),
    _Peer("MLflow Projects, tuned", "mlflow", ("in_mlflow.py", "tuned")),
    _Peer("MLflow Projects, as shipped", "mlflow", ("mlflow", "run", ".", "--env-manager", "local"), lives_on=False),
    _Peer("nox, tuned", "nox", ("nox", "-R", "--default-venv-backend", "none"), lives_on=False),
    _Peer("nox, as shipped", "nox", ("nox",), lives_on=False),
)


class _Driver:
    """A process that runs the program once for each line, and replies when it has seen its end."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __call__(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ended\n"

    def close(self) -> None:
        self._process.communicate()


def compare(bare: Action, python: str, program: Path, ours: dict[str, Action]) -> None:
    """Measure the peers, and `ours`, against bare: what lives on in many rounds, what is started for each run in few."""
    with ExitStack() as drivers:
        quick: dict[str, Action] = {"bare": bare, **ours}
        slow: dict[str, Action] = {"bare": bare}
        for peer in _PEERS:
            scripts = _environment(peer.package) / "bin"
            if not scripts.is_dir():
                continue
            folder = _folder(peer, program)
            if peer.lives_on:
                script, how = peer.arguments
                driver = _Driver([str(scripts / "python"), str(_HERE / script), python, how, str(folder)], folder)
                drivers.callback(driver.close)
                quick[peer.name] = driver
            else:
                command, *rest = peer.arguments
                run = partial(subprocess.run, [str(scripts / command), *rest], cwd=folder, check=True, capture_output=True)
                slow[peer.name] = partial(run, env={**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"})
        for actions, rounds in ((quick, _ROUNDS), (slow, _SLOW_ROUNDS)):
            taken = interleaved(actions, rounds)
            for name in list(actions)[1:]:
                report(
                    f"peers: {name}", ratio(taken, name, "bare"), "x bare", "none", run=summary(taken[name]), bare=summary(taken["bare"])
                )


def _folder(peer: _Peer, program: Path) -> Path:
    folder = program.parent / peer.name.replace(" ", "-")
    folder.mkdir()
    (folder / "main.py").write_text((program / "main.py").read_text())
    (folder / "noxfile.py").write_text((_HERE / "noxfile.py").read_text())
    if peer.package == "mlflow":
        (folder / "MLproject").write_text("name: bare\nentry_points:\n  main:\n    command: python main.py\n")
    return folder


def _environment(package: str) -> Path:
    """Return the environment of a peer, made at the first use, or a path of nothing if its packages cannot be installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchlite-benchmarks"
    requirements = _REQUIREMENTS[package]
    folder = cache / "-".join(requirements)
    if not (folder / "ready").exists():
        print(f"(installing {' '.join(requirements)} into {folder})", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        installed = subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements], check=False)
        if installed.returncode:
            print(f"(left out: {package}, which cannot be installed)", file=sys.stderr)
            return folder / "absent"
        (folder / "ready").touch()
    return folder
