"""All benchmarks: `python tests/benchmarks/run.py [NAME ...] [--peers] [--chart FILE]`. One JSON line a measure; they judge nothing.

*bare* is `subprocess.run([environment_python, "main.py"])` of the same program that does nothing, in the same process as what it is
compared with. Names: warm_run, preloaded, many_runs, suite, environment, install, unpack, imports, output, schedules, year, rest,
inference, peers. The last runs the same program by other tools, which it installs in a cache folder, and only if it is asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, chdir
from functools import partial
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parents[2]))

import orchlite
from orchlite.bundles import bundle
from orchlite.bundles.packing import pack
from orchlite.core.folders import cache_folder
from orchlite.core.settings import Limits
from orchlite.environments.environments import Environments
from orchlite.environments.installers import InstallCommand
from tests.benchmarks import plugin
from tests.benchmarks.chart import svg
from tests.benchmarks.inference import inference
from tests.benchmarks.measure import REPORTED, Action, interleaved, ratio, report, seconds_of, summary
from tests.benchmarks.output import output
from tests.benchmarks.rest import rest
from tests.benchmarks.runs import Bare, many_runs, peers, preloaded, warm_run
from tests.benchmarks.schedules import schedules, year

_INSTALLATIONS = 15


def environment(folder: Path) -> None:
    """An environment without requirements for the first time, and found again."""
    bare = Bare(folder)
    counter = iter(range(1000))

    def first() -> None:
        environments = Environments(folder / f"cache-{next(counter)}")
        with environments.building(environments.key(()), lambda: False) as build:
            build.create()
            build.finish()

    environments = Environments(cache_folder())
    taken = interleaved({"bare": bare, "first": first, "found": lambda: environments.find(environments.key(()))}, rounds=25)
    report("environment, first", ratio(taken, "first", "bare"), "x bare", "<= 4", first=summary(taken["first"]))
    report("environment, found again", summary(taken["found"])["median_ms"], "ms", "<= 1")


def install(folder: Path) -> None:
    """An environment with two small requirements, from the upload to ready, against the installer alone in an environment that is there."""
    index = folder / "index"
    for name in ("bench_one", "bench_two"):
        _small_wheel(index / name.replace("_", "-"), name)
    source = folder / "source"
    source.mkdir()
    (source / "main.py").write_text("pass\n")
    (source / "requirements.txt").write_text("bench-one==1.0\nbench-two==1.0\n")
    for installer in ("pip", "uv"):
        _install(folder / installer, source, index.as_uri() + "/", installer)


def _install(folder: Path, source: Path, index_url: str, installer: str) -> None:
    environments = Environments(folder / "cache", installer=installer, index_urls=(index_url,))
    requirements = ("bench-one==1.0", "bench-two==1.0")
    made = ExitStack()
    commands: list[InstallCommand] = []

    def make() -> None:
        build = made.enter_context(environments.building(f"alone-{len(commands)}", lambda: False))
        build.create()
        commands.append(environments.install_command(build, requirements))

    def alone() -> None:
        command = commands.pop()
        subprocess.run(command.args, cwd=command.working_folder, env=dict(command.env), check=True, capture_output=True)

    with made, orchlite.Client(folder / "store", base_image="clean", environment=environments) as client:
        for _ in range(_INSTALLATIONS + 1):
            make()
        ours = lambda: client.upload_orchestration(path=source, refresh=True).wait()  # noqa: E731
        taken = interleaved({"alone": alone, "ours": ours}, rounds=_INSTALLATIONS)
    alone_ms, ours_ms = summary(taken["alone"]), summary(taken["ours"])
    report(f"two requirements, {installer}", ratio(taken, "ours", "alone"), "x the installer alone", "<= 1.1", ours=ours_ms, alone=alone_ms)


def _small_wheel(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    wheel, information = f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with ZipFile(folder / wheel, "w") as archive:
        archive.writestr(f"{name}.py", "pass\n")
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')


def new_files(folder: Path) -> None:
    """Creating a file: a run creates nine, so its ratio depends on the file system. Some take 50 times as long after many deletions."""
    names = iter(range(10_000))
    taken = interleaved({"new file": lambda: (folder / str(next(names))).touch()}, rounds=501)
    report("a new file here", summary(taken["new file"])["median_ms"], "ms", "0.01 to 0.03")


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
    """`import orchlite` and a first client on an existing store, and the same of `wallaroo` inside a task, over a bare interpreter."""
    store, source = str(folder / "store"), folder / "source"
    source.mkdir()
    (source / "main.py").write_text("pass\n")
    with orchlite.Client(store) as client:
        run_id = client.run(source).id()
    root = str(Path(__file__).parents[2])
    outside = {
        "bare": "pass",
        "import": "import orchlite",
        "client": f"import orchlite; orchlite.Client({store!r})",
    }
    inside = {
        "wallaroo": "import wallaroo",
        "task_args": "import wallaroo; wallaroo.task_args()",
        "task client": "import wallaroo; wallaroo.Client()",
        "task client's store": "import wallaroo; wallaroo.Client().list_tasks()",
    }
    (folder / "arguments.json").write_text("{}")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, f"{root}/orchlite/sdk"])}
    own = {"WALLAROO_TASK_ID": "0", "ORCHLITE_RUN_FOLDER": str(folder), "ORCHLITE_STORE": store, "ORCHLITE_RUN_TOKEN": run_id}
    actions: dict[str, Action] = {
        name: partial(subprocess.run, [sys.executable, "-c", code], env={**env, **own} if name in inside else env, check=True)
        for name, code in {**outside, **inside}.items()
    }
    taken = interleaved(actions, rounds=25)
    bare_ms = summary(taken["bare"])["median_ms"]
    goals = {"import": "<= 10", "client": "<= 80", "wallaroo": "<= 5", "task_args": "<= 15", "task client": "<= 40"}
    for name in list(actions)[1:]:
        goal = goals.get(name, "none of its own")
        report(f"import: {name}", summary(taken[name])["median_ms"] - bare_ms, "ms over a bare interpreter", goal)


def suite(folder: Path) -> None:
    """A hundred tests, each with a store and a run of its own, against the runs alone."""
    with chdir(folder):
        plugin.suite()


_ALL = (warm_run, preloaded, many_runs, suite, environment, install, unpack, imports, output, schedules, year, rest, inference)
MEASURES = {measure.__name__: measure for measure in (*_ALL, peers)}


def main() -> None:
    """Run the benchmarks that the command line names, all but `peers` by default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []])
    parser.add_argument("--peers", action="store_true", help="compare with other tools, too")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write an SVG of what was compared with bare")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        new_files(Path(folder))
    for name in [*(asked.names or ([] if asked.peers else [each.__name__ for each in _ALL])), *["peers"] * asked.peers]:
        with tempfile.TemporaryDirectory() as folder:
            seconds = seconds_of(partial(MEASURES[name], Path(folder)))
        print(f"({name}: {seconds:.1f} s)", file=sys.stderr)
    if asked.chart:
        asked.chart.write_text(svg([(measure.removeprefix("peers: "), value) for measure, value, unit in REPORTED if unit == "x bare"]))


if __name__ == "__main__":
    main()
