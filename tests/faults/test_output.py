"""Output that is too much, too long, torn or cut off: what was said is there, and nothing grows without bound."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.core.folders import RunFolder
from orchlite.runs import logs
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
MakeFolder = Callable[..., Path]
MakeSpec = Callable[..., RunSpec]

_MEBIBYTE = 1024 * 1024
_LINES = "for number in range(60_000): print('line', number, 'of a program that says a little more than that each time')"
_ONE_LINE = "import os\nfor _ in range(1600): os.write(1, b'x' * 65536)\nos.write(1, b'\\n'); os.write(2, b'the end\\n')"


def _run(runners: Runners, spec: RunSpec) -> Ended:
    runners.place(spec)
    observed = runners.wait(RunFolder(Path(spec.folder)))
    assert isinstance(observed, Ended)
    return observed


@pytest.fixture
def peak_kib(tmp_path: Path) -> Callable[[], int]:
    """The most memory that the one runner, idle now, has ever held."""

    def measure() -> int:
        found = [path for path in Path("/proc").glob("[0-9]*") if _standard_error_of(path) == tmp_path / "runners.log"]
        [runner] = found
        [line] = [line for line in (runner / "status").read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1])

    return measure


def _standard_error_of(process: Path) -> Path | None:
    try:
        return (process / "fd" / "2").readlink()
    except OSError:
        return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured by /proc")
@pytest.mark.parametrize("program", [pytest.param(_LINES, marks=pytest.mark.slow), _ONE_LINE], ids=["lines", "a line of 100 MiB"])
def test_a_flood_is_bounded_on_disk_and_in_memory_and_marked(
    runners: Runners, make_spec: MakeSpec, peak_kib: Callable[[], int], program: str
) -> None:
    _run(runners, make_spec("echo small"))
    before = peak_kib()
    spec = make_spec(command=(sys.executable, "-u", "-c", program), log_bytes=4 * _MEBIBYTE)
    result = _run(runners, spec).result
    assert (result.status, result.exit_code, result.log_complete) == ("success", 0, True)
    assert peak_kib() - before < 8 * 1024
    assert 3 * _MEBIBYTE <= sum(segment.stat().st_size for segment in Path(spec.log).parent.glob("log*")) <= 4 * _MEBIBYTE
    log = logs.read(Path(spec.log))
    assert [line.stream for line in log if line.text.startswith("[orchlite: a part of the log is missing")] == ["stderr"]


def test_of_200_000_lines_the_first_and_the_last_are_kept(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1, limits=orchlite.Limits(log_bytes=_MEBIBYTE)) as client:
        run = client.run(folder("print('\\n'.join(f'line {number}' for number in range(200_000)))"))
        texts = [line.text for line in run.logs()]
        followed = [line.text for line in run.logs(follow=True)]
        assert [line.text for line in run.logs(limit=2)] == ["line 199998", "line 199999"]
    [gap] = [place for place, text in enumerate(texts) if "a part of the log is missing" in text]
    assert texts[:gap] == [f"line {number}" for number in range(gap)]
    assert texts[gap + 1 :] == [f"line {number}" for number in range(200_000 - len(texts) + gap + 1, 200_000)]
    assert gap > 5_000
    assert followed == texts
    check_store(store)


def test_a_torn_record_at_the_end_of_a_log_is_left_out(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1) as client:
        run = client.run(folder("print('first'); print('second')"))
        log = store / "runs" / run.id() / "1" / "log"
        whole = log.read_bytes()
        second = whole.split(b"\n")[1]
        for torn in (second[:7], second[:-2], second, b"\0" * 100):
            log.write_bytes(whole + torn)
            assert [line.text for line in run.logs()] == ["first", "second"]
        log.write_bytes(whole)
    check_store(store)


_LAST_WORDS = "import os, signal; print('a line'); os.write(1, b'last words'); os.kill(os.getpid(), signal.SIGKILL)"


def test_what_a_program_says_just_before_it_is_killed_is_there(check_store: CheckStore, folder: MakeFolder, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store, workers=1) as client:
        run = client.run(folder(_LAST_WORDS))
        assert (run.status(), run.exit_code(), str(run.logs())) == ("failure", 137, "a line\nlast words")
    check_store(store, [run.id()], {run.id(): ["a line", "last words"]})


@pytest.mark.slow
def test_what_a_program_says_while_its_host_dies_is_there(
    start_host: StartHost, check_store: CheckStore, folder: MakeFolder, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    script = """
import sys, time, orchlite
client = orchlite.Client(sys.argv[1], workers=1)
[run] = client.upload_orchestration(path=sys.argv[2]).wait().run_once().last_runs()
next(run.logs(follow=True))
print(run.id())
time.sleep(60)
"""
    program = "import time\nfor number in range(100): print(number); time.sleep(0.005)\n"
    host = start_host(script, store, folder(program))
    assert host.stdout is not None
    run_id = host.stdout.readline().strip()
    host.kill()
    host.wait()
    with orchlite.Client(store) as client:
        followed = [line.text for line in client.get_task_run_by_id(run_id).logs(follow=True)]
        assert client.get_task_run_by_id(run_id).wait(20).status() == "success"
    numbers = [str(number) for number in range(100)]
    assert followed == numbers
    check_store(store, [run_id], {run_id: numbers})


def test_a_run_whose_log_cannot_be_written_goes_on_and_says_that_its_log_is_incomplete(runners: Runners, make_spec: MakeSpec) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    spec = make_spec("head -c 300000 /dev/zero; echo done >> ../../done; exit 4")
    Path(spec.log).symlink_to("/dev/full")
    result = _run(runners, spec).result
    assert (result.status, result.exit_code, result.log_complete) == ("failure", 4, False)
    assert (Path(spec.folder) / "done").read_text() == "done\n"
