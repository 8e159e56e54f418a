"""Limits of a run: its program has them from the start, its runner does not keep them, and its end is explained by them."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite.core.folders import RunFolder
from orchlite.runs.runner import limits
from orchlite.runs.runners import Runners
from orchlite.runs.spec import Ended, RunSpec

MakeSpec = Callable[..., RunSpec]
Run = Callable[..., tuple[str | None, str]]

_LIMITS = """
import os, resource
print(*resource.getrlimit(resource.RLIMIT_AS), *resource.getrlimit(resource.RLIMIT_CPU), os.nice(0))
"""


@pytest.fixture
def run(runners: Runners, make_spec: MakeSpec) -> Run:
    """Run a program with limits, all by the same runner; return its reason and what it has written."""

    def run_to_its_end(script: str, **bounds: int) -> tuple[str | None, str]:
        spec = make_spec(command=(sys.executable, "-c", script), **bounds)
        runners.place(spec)
        observed = runners.wait(RunFolder(Path(spec.folder)))
        assert isinstance(observed, Ended)
        return observed.result.reason, "".join(line.split(" ", 3)[3] for line in Path(spec.log).read_text().splitlines())

    return run_to_its_end


def test_a_program_has_its_limits_and_the_next_run_of_its_runner_has_none(run: Run) -> None:
    free = run(_LIMITS)
    assert run(_LIMITS, memory_bytes=2**29, cpu_seconds=60, nice=3) == (None, free[1].replace("-1 -1 -1 -1 0", f"{2**29} -1 60 -1 3"))
    assert run(_LIMITS) == free


def test_a_program_that_needs_more_memory_fails_and_the_reason_names_the_limit(run: Run) -> None:
    reason, written = run("bytearray(2**30)", memory_bytes=2**28)
    assert (reason, written.endswith("MemoryError")) == ("it needed more memory than its limit of 256 MiB", True)


@pytest.mark.slow
def test_a_program_that_computes_for_longer_is_ended_and_the_reason_names_the_limit(run: Run) -> None:
    assert run("while True: pass", cpu_seconds=1)[0] == "it used more than 1 s of processor time"


def test_a_nicer_program_gets_less_of_a_busy_processor_although_it_has_a_session_of_its_own(run: Run) -> None:
    """With autogroups, the niceness of a process counts in its session only."""
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("the kernel has no autogroups")
    assert run("print(open('/proc/self/autogroup').read().split()[-1])", nice=5) == (None, "5")


def test_sigkill_of_an_unknown_sender_is_explained_as_the_kernels(run: Run) -> None:
    reason = run("import os; os.kill(os.getpid(), 9)")[0]
    assert reason is not None
    assert "memory is short" in reason
    assert run("import sys; sys.exit(137)")[0] is None


def test_a_crash_and_a_question_for_input_are_explained(run: Run) -> None:
    assert str(run("import ctypes; ctypes.string_at(0)")[0]).startswith("SIGSEGV ended it: compiled code crashed")
    assert str(run("input('Name: ')")[0]).startswith("it asked for input")


def test_a_lower_limit_of_the_host_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    spec = {"memory_bytes": None, "cpu_seconds": 2**40}
    resource.setrlimit(resource.RLIMIT_CPU, (2**20, before[1]))
    try:
        with limits.lowered(spec):
            assert resource.getrlimit(resource.RLIMIT_CPU) == (2**20, before[1])
        assert limits.reason(spec, signal.SIGXCPU, b"") == f"it used more than {2**20} s of processor time"
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


@pytest.mark.parametrize(
    "last",
    [
        b"MemoryError",
        b"MemoryError: no room\n",
        b"numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1 GiB",
        b"a\nMemoryError\n\n",
    ],
)
def test_memory_errors_of_libraries_are_recognized(last: bytes) -> None:
    assert limits.reason({"memory_bytes": 3 * 2**29}, None, last) == "it needed more memory than its limit of 1536 MiB"


@pytest.mark.parametrize("last", [b"", b"ValueError: MemoryError", b"MemoryErrors", b"MemoryError\nanother line"])
def test_other_last_lines_say_nothing(last: bytes) -> None:
    assert limits.reason({"memory_bytes": 2**30}, None, last) is None
    assert limits.reason({}, None, b"MemoryError") is None
