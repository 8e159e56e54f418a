"""The compiler works in a process of its own, within limits; what exceeds them is accepted with a warning."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from orchlite.bundles.compiler_process import imports_of
from orchlite.bundles.syntax import check_source
from orchlite.core.errors import BadBundle

NESTED_FINALLY = 18


def _doubling(levels: int) -> bytes:
    """A `finally` is compiled twice, so each level doubles the size of the bytecode."""
    lines: list[str] = []
    for level in range(levels):
        lines += [" " * level + "try: f()", " " * level + "finally:"]
    return "\n".join([*lines, " " * levels + "g(" + "a, " * 100 + ")"]).encode()


@pytest.mark.slow
def test_what_takes_too_much_memory_or_time_is_accepted_with_a_warning() -> None:
    (warning,) = check_source(_doubling(NESTED_FINALLY), "main.py")
    assert warning == "'main.py' was not checked for syntax errors: compiling it takes more than 2 s or 512 MiB of memory."


def test_the_memory_of_the_compiler_is_not_the_hosts() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check_source(b"x = [" + b"[],a," * 20_000 + b"]", "main.py")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


@pytest.mark.slow
def test_what_takes_quadratic_time_is_accepted_with_a_warning() -> None:
    source = "f(" + ",".join(f"a{number}=1" for number in range(75_000)) + ")\n"
    (warning,) = check_source(source.encode(), "main.py")
    assert "not checked" in warning


def test_warnings_of_the_compiler_are_told_with_their_line() -> None:
    warnings = check_source(b"x = 1\nif x is 1:\n    assert (x, 'always')\n", "a/main.py")
    assert [warning.partition(": ")[0] for warning in warnings] == ["'a/main.py', line 2", "'a/main.py', line 3"]
    assert "literal" in warnings[0]


def test_of_many_warnings_the_first_ten_are_told() -> None:
    assert len(check_source(b"1 is 1\n" * 1000, "main.py")) == 10


def test_no_line_of_another_file_is_printed(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("PASSWORD = 'hunter2'\n")
    program = "from orchlite.bundles.syntax import check_source; print(check_source(b'1 is 1', 'main.py'))"
    environment = {**os.environ, "PYTHONPATH": str(Path(check_source.__code__.co_filename).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=environment, check=True)
    assert "line 1: " in done.stdout
    assert "PASSWORD" not in done.stdout + done.stderr


def test_nothing_of_the_program_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    assert check_source(f"open({str(mark)!r}, 'w')".encode(), "main.py") == []
    assert not mark.exists()


def test_a_host_that_cannot_start_a_compiler_accepts_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_base_executable", str(tmp_path / "removed"))
    (warning,) = check_source(b"x = 1 +\n", "main.py")
    assert "not checked for syntax errors: no process could be started" in warning


def test_a_long_complaint_is_cut() -> None:
    name = b"a" * 100_000
    with pytest.raises(BadBundle) as caught:
        check_source(b"def f():\n " + name + b" = 1\n global " + name, "main.py")
    assert len(caught.value.message) < 1000
    assert caught.value.details["line"] == 3


def test_a_small_program_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    source, other = b"if 1 is 1: import a\n", b"if 2 is 2: pass\n"
    warnings, imports = check_source(source, "main.py"), imports_of([source])
    monkeypatch.setattr(sys, "_base_executable", "/nowhere")  # no process can be started now
    assert [*warnings, *check_source(source, "other.py")] == [*warnings, *(text.replace("main.py", "other.py") for text in warnings)]
    assert "no process could be started" in check_source(other, "main.py")[0]
    assert [record.kind for record in imports_of([source])] == [record.kind for record in imports] == ["import", "done"]
    assert imports_of([other]) == []
    monkeypatch.undo()
    assert "no process could be started" not in check_source(other, "main.py")[0]
