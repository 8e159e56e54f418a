"""All benchmarks: `python tests/benchmarks/run.py [NAME ...]`. One JSON line a measure; they judge nothing.

*bare* is `subprocess.run([environment_python, "main.py"])` of the same program that does nothing, in the same process as what it is
compared with. Names: warm_run, many_runs, environment, unpack, imports.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import orchlite
from orchlite import bundle
from orchlite.environments import Environments
from orchlite.packing import pack
from orchlite.paths import cache_folder
from orchlite.records import Limits
from tests.benchmarks.measure import Action, interleaved, ratio, report, seconds_of, summary


class Bare:
    """The program that does nothing, run by its environment's interpreter alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bare"
        self.folder.mkdir()
        (self.folder / "main.py").write_text("pass\n")
        environments = Environments(cache_folder())
        with environments.building(environments.key(()), lambda: False) as building:
            if building.found is None:
                building.make()
            self.python = str((building.found or building.finish()).python)

    def __call__(self) -> None:
        subprocess.run([self.python, "main.py"], cwd=self.folder, check=True)


def warm_run(folder: Path) -> None:
    """`run_once` to the end that its caller sees, against bare."""
    bare = Bare(folder)
    with orchlite.Client(folder / "store") as client:
        orchestration = client.upload_orchestration(path=bare.folder).wait()
        taken = interleaved({"bare": bare, "run": lambda: orchestration.run_once().wait()}, rounds=101)
    report("warm run", ratio(taken, "run", "bare"), "x bare", "<= 1.15", run=summary(taken["run"]), bare=summary(taken["bare"]))


def many_runs(folder: Path) -> None:
    """A hundred runs on two workers, against bare on two threads: how much of bare's throughput is left."""
    bare = Bare(folder)
    with orchlite.Client(folder / "store", workers=2) as client:
        orchestration = client.upload_orchestration(path=bare.folder).wait()

        def runs() -> None:
            for task in [orchestration.run_once() for _ in range(100)]:
                task.wait()

        taken = interleaved({"bare": lambda: _on_two_threads(bare, 100), "runs": runs}, rounds=9)
    report("100 runs, 2 workers", 1 / ratio(taken, "runs", "bare"), "of bare's throughput", ">= 0.90", runs=summary(taken["runs"]))


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


def environment(folder: Path) -> None:
    """An environment without requirements for the first time, and found again."""
    bare = Bare(folder)
    counter = iter(range(1000))

    def first() -> None:
        environments = Environments(folder / f"cache-{next(counter)}")
        with environments.building(environments.key(()), lambda: False) as building:
            building.make()
            building.finish()

    environments = Environments(cache_folder())
    taken = interleaved({"bare": bare, "first": first, "found": lambda: environments.find(environments.key(()))}, rounds=25)
    report("environment, first", ratio(taken, "first", "bare"), "x bare", "<= 4", first=summary(taken["first"]))
    report("environment, found again", summary(taken["found"])["median_ms"], "ms", "<= 1")


def unpack(folder: Path) -> None:
    """A bundle of 5 KB into a work folder."""
    source = folder / "source"
    source.mkdir()
    for name, size_bytes in {"main.py": 1500, "helper.py": 1500, "requirements.txt": 0, "data.csv": 2000}.items():
        (source / name).write_text("#" * size_bytes)
    packed = folder / "bundle.zip"
    packed.write_bytes(pack(source, limits=Limits()).content)

    def into_work() -> None:
        work = folder / "work"
        work.mkdir()
        bundle.unpack(packed, work)
        shutil.rmtree(work)

    taken = interleaved({"unpack": into_work}, rounds=101)
    report("5 KB bundle into a work folder", summary(taken["unpack"])["median_ms"], "ms", "<= 2")


def imports(folder: Path) -> None:
    """`import orchlite` and a first client on an existing store, over a bare interpreter."""
    store = str(folder / "store")
    orchlite.Client(store).close()
    root = str(Path(__file__).parents[2])
    programs = {
        "bare": "pass",
        "import": "import orchlite",
        "client": f"import orchlite; orchlite.Client({store!r})",
        "wallaroo": "import wallaroo",
        "task_args": "import wallaroo; wallaroo.task_args()",
    }
    (folder / "arguments.json").write_text("{}")
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, f"{root}/orchlite/sdk"]),
        "WALLAROO_TASK_ID": "0",
        "ORCHLITE_RUN_FOLDER": str(folder),
    }
    actions: dict[str, Action] = {
        name: partial(subprocess.run, [sys.executable, "-c", code], env=env, check=True) for name, code in programs.items()
    }
    taken = interleaved(actions, rounds=25)
    bare_ms = summary(taken["bare"])["median_ms"]
    goals = {"import": "<= 10", "client": "<= 80", "wallaroo": "<= 5", "task_args": "<= 15"}
    for name, goal in goals.items():
        report(f"import: {name}", summary(taken[name])["median_ms"] - bare_ms, "ms over a bare interpreter", goal)


MEASURES = {measure.__name__: measure for measure in (warm_run, many_runs, environment, unpack, imports)}


def main(names: list[str]) -> None:
    """Run the benchmarks of these names, all by default."""
    for name in names or MEASURES:
        with tempfile.TemporaryDirectory() as folder:
            seconds = seconds_of(partial(MEASURES[name], Path(folder)))
        print(f"({name}: {seconds:.1f} s)", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
