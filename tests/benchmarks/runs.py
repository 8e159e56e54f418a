"""Benchmarks of runs: cold, from standby, back to back, with modules that are already imported, and many on two workers."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orchlite
from orchlite.core.folders import cache_folder
from orchlite.environments.environments import Environments
from tests.benchmarks import peers as others
from tests.benchmarks.measure import Action, interleaved, ratio, report, seconds_of, summary

_ROUNDS = 51
_IDLE_SECONDS = 0.05
_IMPORT_SECONDS = 1.0
"""How long a run that stands by may import pandas."""
_IN_A_ROW = 10


class Bare:
    """The program that does nothing, run by its environment's interpreter alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bare"
        self.folder.mkdir()
        (self.folder / "main.py").write_text("pass\n")
        environments = Environments(cache_folder())
        with environments.building(environments.key(()), lambda: False) as build:
            if build.found is None:
                build.create()
            self.python = str((build.found or build.finish()).python)

    def __call__(self) -> None:
        subprocess.run([self.python, "main.py"], cwd=self.folder, check=True)


def _runs(client: orchlite.Client, folder: Path) -> Action:
    """Return an action that runs a program once, and sees its end; a run that stands by is prepared after it."""
    orchestration = client.upload_orchestration(path=folder).wait()
    return lambda: orchestration.run_once().wait()


def _after_a_pause(actions: dict[str, Action], pause_seconds: float, rounds: int) -> dict[str, list[float]]:
    """Do as `interleaved`, with a pause before each action, which does not count."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 2):  # two runs in a row come before the first one that stands by
        for name, action in actions.items():
            time.sleep(pause_seconds)
            seconds = seconds_of(action)
            taken[name] += [seconds] * (number >= 2)
    return taken


def warm_run(folder: Path) -> None:
    """`run_once` to the end that its caller sees, against bare: from standby, without one, and without a pause."""
    bare = Bare(folder)
    with orchlite.Client(folder / "cold", standby_seconds=0) as cold, orchlite.Client(folder / "ready") as ready:
        actions: dict[str, Action] = {"bare": bare, "cold": _runs(cold, bare.folder), "ready": (run := _runs(ready, bare.folder))}
        taken = _after_a_pause(actions, _IDLE_SECONDS, _ROUNDS)
        row = interleaved({"ten bare": lambda: _in_a_row(bare), "ten runs": lambda: _in_a_row(run)}, rounds=_ROUNDS // 5)
    times = {name: summary(seconds) for name, seconds in (taken | row).items()}
    report("run after 50 ms idle", ratio(taken, "ready", "bare"), "x bare", "<= 0.60", run=times["ready"], bare=times["bare"])
    report("cold run", ratio(taken, "cold", "bare"), "x bare", "<= 1.20", run=times["cold"], bare=times["bare"])
    report("runs back to back", ratio(row, "ten runs", "ten bare"), "x bare", "<= 1.10", runs=times["ten runs"], bare=times["ten bare"])


def _in_a_row(action: Action) -> None:
    for _ in range(_IN_A_ROW):
        action()


def preloaded(folder: Path) -> None:
    """A program that imports pandas, from standby with pandas imported, against this interpreter alone."""
    program = folder / "program"
    program.mkdir()
    (program / "main.py").write_text("import pandas\n")
    with orchlite.Client(folder / "store", preload=["pandas"]) as client:
        actions: dict[str, Action] = {
            "bare": lambda: subprocess.run([sys.executable, "main.py"], cwd=program, check=True),
            "run": _runs(client, program),
        }
        taken = _after_a_pause(actions, _IMPORT_SECONDS, rounds=15)
    both = {name: summary(seconds) for name, seconds in taken.items()}
    report("run of `import pandas`, preloaded", ratio(taken, "run", "bare"), "x bare", "<= 0.35", **both)


def many_runs(folder: Path) -> None:
    """A hundred runs on two workers, against bare on two threads: how much of bare's throughput is left."""
    bare = Bare(folder)
    with orchlite.Client(folder / "store", workers=2) as client:
        orchestration = client.upload_orchestration(path=bare.folder).wait()

        def runs() -> None:
            for task in [orchestration.run_once() for _ in range(100)]:
                task.wait()

        taken = interleaved({"bare": lambda: _on_two_threads(bare, 100), "runs": runs}, rounds=9)
    report("100 runs, 2 workers", 1 / ratio(taken, "runs", "bare"), "of bare's throughput", ">= 0.85", runs=summary(taken["runs"]))


def _on_two_threads(action: Callable[[], None], times: int) -> None:
    tickets: queue.SimpleQueue[None] = queue.SimpleQueue()
    for _ in range(times):
        tickets.put(None)

    def work() -> None:
        while True:
            try:
                tickets.get_nowait()
            except queue.Empty:
                return
            action()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def peers(folder: Path) -> None:
    """The program that does nothing, by orchlite and by other tools, against bare."""
    bare = Bare(folder)
    with orchlite.Client(folder / "cold", standby_seconds=0) as cold, orchlite.Client(folder / "ready") as ready:
        ours = {"orchlite, cold": _runs(cold, bare.folder), "orchlite, from standby": _runs(ready, bare.folder)}
        others.compare(bare, bare.python, bare.folder, ours)
