"""A soak, by hand: `python tests/soak.py --minutes 10`. Two hosts work on one store while hosts, runners and runs are killed at random.

One host lives to the end, so that its memory and its open files can be compared, early with late; the other is killed and started
again. At the end everything is left to come to its end, and looked at. One line of JSON says what was found; the exit code is 1 where
something is wrong.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import orchlite
from orchlite.core.files import is_locked
from orchlite.core.status import RunStatus
from tests.processes import link, pids, read

_UNFINISHED = 8
"""How many runs a host has under way before it submits the next."""
_MEASURE_SECONDS = 2.0
_DRAIN_SECONDS = 120.0
_SHOWN = 20
_MEBIBYTE = 1024 * 1024
_KINDS = ("succeed", "fail", "sleep", "talk", "daemon", "stubborn")

# Notes its start first, then does what its arguments say.
_PROGRAM = """
import os, signal, sys, time, wallaroo

arguments = wallaroo.Client().task_args()
descriptor = os.open(arguments["starts"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(descriptor, (os.environ["ORCHLITE_RUN_TOKEN"] + "\\n").encode())
os.close(descriptor)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(arguments["seconds"] * 4)

def talk():
    for number in range(5000):
        print("line", number, "x" * 100)

kinds = {"daemon": daemon, "stubborn": stubborn, "talk": talk, "sleep": lambda: time.sleep(arguments["seconds"])}
kinds.get(arguments["kind"], lambda: None)()
sys.exit(3 if arguments["kind"] == "fail" else 0)
"""


# --- a host: this file, started with --host


class _Host:
    """Submits, kills and uploads at random until it is told to stop, and tells what it does, line by line."""

    def __init__(self, folder: Path, seed: str) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._client = orchlite.Client(folder / "store", workers=3, grace_seconds=0.3).start()
        self._stop = threading.Event()
        self._orchestration = self._uploaded()
        self._runs: list[orchlite.TaskRun] = []

    def work(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._measure, daemon=True).start()
        while not self._stop.is_set():
            self._runs = [run for run in self._runs if not run.status().is_final]
            if len(self._runs) < _UNFINISHED:
                self._submit()
            if self._random.random() < 0.03:
                self._kill()
            if self._random.random() < 0.03:
                self._orchestration = self._uploaded()
            time.sleep(self._random.uniform(0, 0.05))
        self._client.close()
        _tell("closed")

    def _uploaded(self) -> orchlite.Orchestration:
        text = f"{_PROGRAM}# {self._random.random()}\n"
        path = self._folder / f"bundle-{os.getpid()}"
        path.mkdir(exist_ok=True)
        (path / "main.py").write_text(text, encoding="utf-8")
        return self._client.upload_orchestration(path=path)

    def _submit(self) -> None:
        kind = self._random.choice(_KINDS)
        arguments = {"starts": str(self._folder / "starts"), "kind": kind, "seconds": self._random.uniform(0, 1)}
        timeout = self._random.choice([None, None, 1.0])
        _tell("submitting")
        [run] = self._orchestration.run_once(json_args=arguments, timeout=timeout).last_runs()
        _tell("submitted", run.id())
        self._runs.append(run)

    def _kill(self) -> None:
        if self._runs:
            run = self._random.choice(self._runs)
            _tell("asked", run.id())
            with suppress(orchlite.IllegalMove):
                run.kill()

    def _listen(self) -> None:
        sys.stdin.read()  # until the driver has closed it
        self._stop.set()

    def _measure(self) -> None:
        while not self._stop.wait(_MEASURE_SECONDS):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            _tell("measured", resident, len(list(Path("/proc/self/fd").iterdir())), threading.active_count())


_telling = threading.Lock()


def _tell(*words: object) -> None:
    with _telling:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


# --- the driver


class _Watched:
    """A host process, and what it has told."""

    def __init__(self, folder: Path, seed: str, told: list[list[str]]) -> None:
        command = [sys.executable, __file__, "--host", str(folder), seed]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = told
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.told.append(line.split())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def leave(self) -> int:
        """Let it drain and go; its exit code, after a bounded wait."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_DRAIN_SECONDS)
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGUSR1)  # it says on stderr where its threads are
            time.sleep(1)
            self.kill()
        self._reader.join()
        return self.process.returncode


class _Soak:
    """The whole of it. What it finds wrong is in `problems`."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._store = folder / "store"
        self._seed = seed
        self._random = random.Random(seed)
        self._told: list[list[str]] = []
        self._steady_told: list[list[str]] = []
        self._killed_runners: set[int] = set()
        self._host_kills = 0
        self.problems: list[str] = []

    def run(self, seconds: float) -> dict[str, Any]:
        steady, mortal = self._host("steady", self._steady_told), self._host("mortal-0", self._told)
        end_at, kill_host_at = time.monotonic() + seconds, time.monotonic() + 3
        while time.monotonic() < end_at and not self.problems:
            time.sleep(self._random.uniform(0, 2))
            self._kill_a_runner()
            if time.monotonic() > kill_host_at or mortal.process.poll() is not None:
                self._expect_alive(steady, mortal)
                mortal.kill()
                self._host_kills += 1
                mortal = self._host(f"mortal-{self._host_kills}", self._told)
                kill_host_at = time.monotonic() + self._random.uniform(0.2, 5)
        for name, host in (("steady", steady), ("mortal", mortal)):
            code = host.leave()
            self._expect(code == 0, f"the {name} host ended with {code}")
        return self._looked_at()

    def _host(self, name: str, told: list[list[str]]) -> _Watched:
        return _Watched(self._folder, f"{self._seed}-{name}", told)

    def _kill_a_runner(self) -> None:
        runners = [pid for pid in pids() if link(pid, "fd/2") == str(self._store / "runners.log")]
        if runners:
            pid = self._random.choice(runners)
            self._killed_runners.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _expect_alive(self, *hosts: _Watched) -> None:
        for host in hosts:
            code = host.process.poll()
            self._expect(code is None, f"a host has ended by itself, with {code}")

    def _expect(self, condition: bool, problem: str) -> None:
        if not condition:
            self.problems.append(problem)

    def _looked_at(self) -> dict[str, Any]:
        self._finish()
        with closing(sqlite3.connect(self._store / "store.sqlite")) as database:
            intact = database.execute("PRAGMA integrity_check").fetchall() + database.execute("PRAGMA foreign_key_check").fetchall()
            query = "SELECT run_id, runs.status FROM runs JOIN tasks USING (task_id) WHERE kind {} 'packaging'"
            runs = dict(database.execute(query.format("<>")).fetchall())
            packagings = dict(database.execute(query.format("=")).fetchall())
        self._expect(intact == [("ok",)], f"the database is damaged: {intact[:3]}")
        self._check_runs(runs, packagings)
        self._check_leftovers({*runs, *packagings})
        return {
            "seed": self._seed,
            **self._counted(runs),
            "packagings": dict(Counter(packagings.values())),
            "host_kills": self._host_kills,
            "runner_kills": len(self._killed_runners),
            "steady_host": self._growth(),
            "problems": self.problems[:_SHOWN],
            "problem_count": len(self.problems),
        }

    def _finish(self) -> None:
        """A last host: what the killed ones left is brought to its end."""
        with orchlite.Client(self._store, workers=3, grace_seconds=0.3).start():
            give_up_at = time.monotonic() + _DRAIN_SECONDS
            while (left := self._unfinished()) and time.monotonic() < give_up_at:
                time.sleep(0.2)
        self._expect(not left, f"{left} runs have no end")

    def _unfinished(self) -> int:
        with closing(sqlite3.connect(self._store / "store.sqlite", timeout=10)) as database:
            [count] = database.execute("SELECT count(*) FROM runs WHERE status IN ('queued', 'running')").fetchone()
        return int(count)

    def _counted(self, runs: dict[str, str]) -> dict[str, Any]:
        said = Counter(line[0] for line in self._told + self._steady_told)
        self._expect(said["submitted"] <= len(runs) <= said["submitting"], "submitted, stored and acknowledged do not agree")
        unsaid = said["submitting"] - said["submitted"]
        self._expect(unsaid <= self._host_kills, f"{unsaid} submissions came to nothing, with {self._host_kills} hosts killed")
        return {"submitted": said["submitting"], "acknowledged": said["submitted"], "runs": dict(Counter(runs.values()))}

    def _check_runs(self, runs: dict[str, str], packagings: dict[str, str]) -> None:
        acknowledged = {line[1] for line in self._told + self._steady_told if line[0] == "submitted"}
        self._expect(acknowledged <= set(runs), f"lost: {sorted(acknowledged - set(runs))}")
        asked = {line[1] for line in self._told + self._steady_told if line[0] == "asked"}
        starts = self._folder / "starts"
        started = Counter(starts.read_text().split() if starts.exists() else ())
        twice = [run_id for run_id, count in started.items() if count > 1]
        self._expect(not twice, f"started twice: {twice}")
        for run_id, status in runs.items():
            self._check_run(run_id, RunStatus(status), started[run_id], run_id in asked)
        bad = {run_id: status for run_id, status in packagings.items() if status != "success"}
        self._expect(not bad, f"packaging went wrong: {bad}")

    def _check_run(self, run_id: str, status: RunStatus, starts: int, was_asked: bool) -> None:
        folder = self._store / "runs" / run_id
        self._expect(not is_locked(folder / "alive.lock"), f"run {run_id} is locked")
        if status is RunStatus.UNKNOWN:
            self._expect(self._owner(folder) in self._killed_runners, f"run {run_id} is unknown, and its runner was not killed")
        elif status in (RunStatus.SUCCESS, RunStatus.FAILURE):
            # A program that is only being started looks like its runner, and may have been killed for it.
            self._expect(starts == 1 or self._was_killed(folder), f"run {run_id} is {status}, and was started {starts} times")
        elif status is RunStatus.KILLED:
            self._expect(was_asked, f"run {run_id} is killed, and nobody asked for it")

    def _was_killed(self, folder: Path) -> bool:
        return any(json.loads(file.read_bytes())["exit_code"] == 128 + signal.SIGKILL for file in folder.glob("*/result.json"))

    def _owner(self, folder: Path) -> int | None:
        """The pid of the runner that started the run; of one that was killed while it noted that, any of the killed."""
        try:
            return int(json.loads((folder / "started.json").read_bytes())["pid"])
        except ValueError:
            return next(iter(self._killed_runners), None)
        except OSError:
            return None

    def _check_leftovers(self, run_ids: set[str]) -> None:
        give_up_at = time.monotonic() + 5
        while (alive := [pid for pid in pids() if _token(pid) in run_ids]) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        self._expect(not alive, f"processes of runs are alive: {alive}")
        runners = [pid for pid in pids() if link(pid, "fd/2") == str(self._store / "runners.log")]
        self._expect(not runners, f"runners are alive: {runners}")
        self._expect(not list((self._store / "hosts").iterdir()), "there are signs of life of hosts that are gone")
        said = (self._store / "runners.log").read_text()
        self._expect(not said, f"runners have said: {said[-300:]}")

    def _growth(self) -> dict[str, Any]:
        """Early, after the first fifth, and late: medians of the resident memory, the open files and the threads."""
        measures = [tuple(map(int, line[1:])) for line in self._steady_told if line[0] == "measured"]
        part = len(measures) // 5
        if part < 2:
            return {"measures": len(measures)}
        early, late = measures[part : 2 * part], measures[-part:]
        found: dict[str, Any] = {}
        for name, column, allowance in (("resident_bytes", 0, 16 * _MEBIBYTE), ("open_files", 1, 10), ("threads", 2, 6)):
            before, after = (statistics.median(measure[column] for measure in measures) for measures in (early, late))
            found[name] = [round(before), round(after)]
            self._expect(after <= before + allowance, f"{name} of the steady host grew from {before:.0f} to {after:.0f}")
        return found


def _token(pid: int) -> str:
    return read(pid, "environ").partition(b"ORCHLITE_RUN_TOKEN=")[2].partition(b"\0")[0].decode()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--keep", type=Path, help="a new folder for the store, which is kept")
    parser.add_argument("--host", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Be the driver, or one of its hosts."""
    arguments = _arguments()
    if arguments.host:
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        _Host(Path(arguments.host[0]), arguments.host[1]).work()
        return 0
    print("seed:", arguments.seed, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="orchlite-soak-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("ORCHLITE_CACHE", str(folder / "cache"))
        soak = _Soak(folder, arguments.seed)
        print(json.dumps(soak.run(arguments.minutes * 60)))
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
