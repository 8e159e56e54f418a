"""`python -m orchlite.sdk main.py` and `import orchlite.sdk`, in interpreters of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import orchlite

ROOT = Path(orchlite.__file__).parent.parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("WALLAROO_", "ORCHLITE_", "PYTHON"))}


def python(*command: str, cwd: Path, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**ENVIRONMENT, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *command], env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def sdk(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python("-m", "orchlite.sdk", *command, cwd=cwd)


TELL = "import sys, wallaroo\nprint(wallaroo.in_task(), wallaroo.task_args(), sys.argv[1:])"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["main.py"], "True {} []"),
        (["main.py", "a", "-b", "--c=d"], "True {} ['a', '-b', '--c=d']"),
        (["main.py", "--args-file", "args.json"], "True {'rows': 3} []"),
        (["main.py", "--args-file=args.json", "a"], "True {'rows': 3} ['a']"),
        (["--args-file", "args.json", "main.py", "a"], "True {'rows': 3} ['a']"),
        (["--args-file", "args.json", "main.py", "--args-file", "its own"], "True {'rows': 3} ['--args-file', 'its own']"),
        (["main.py", "a", "--args-file", "its own"], "True {} ['a', '--args-file', 'its own']"),
        (["main.py", "--help"], "True {} ['--help']"),
    ],
    ids=" ".join,
)
def test_a_program_runs_as_a_task_with_the_arguments_of_the_file(tmp_path: Path, command: list[str], printed: str) -> None:
    (tmp_path / "main.py").write_text(TELL)
    (tmp_path / "args.json").write_text('{"rows": 3}')
    done = sdk(*command, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (f"{printed}\n", "", 0)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ([], "usage:"),
        (["--nonsense", "main.py"], "unknown option '--nonsense'"),
        (["absent.py"], "can't open file 'absent.py'"),
        (["main.py", "--args-file"], "--args-file needs the name of a file"),
        (["main.py", "--args-file", "absent.json"], "'absent.json' cannot be read: No such file"),
        (["main.py", "--args-file", "main.py"], "'main.py' is not valid JSON"),
        (["main.py", "--args-file", "list.json"], 'must contain a JSON object, such as {"name": "value"}, not list'),
        (["main.py", "--args-file", "nan.json"], "cannot be written as JSON"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_explained_and_runs_nothing(tmp_path: Path, command: list[str], complaint: str) -> None:
    (tmp_path / "main.py").write_text("print('it ran')")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "nan.json").write_text('{"a": NaN}')
    done = sdk(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_help_is_printed(tmp_path: Path) -> None:
    done = sdk("--help", cwd=tmp_path)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "usage")


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(3)",
        "raise SystemExit('a message')",
        "1 / 0",
        "def broken(:",
        "import sys; print('out'); print('err', file=sys.stderr)",
        "import sys; print(sys.argv, sys.path[0])",
        "import sys; print(__name__, __file__, __spec__, __doc__)",
        "import os, sys; print(os.getcwd(), sys.stdin.read(), '' in sys.path, os.getcwd() in sys.path)",
        "import threading; threading.Thread(target=lambda: (threading.main_thread().join(), print('thread'))).start(); print('main')",
        "import atexit; atexit.register(print, 'at exit')",
        "import beside_it; print(beside_it.__file__)",
        "import in_the_current_folder",
    ],
)
def test_a_program_behaves_as_if_python_ran_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "bundle").mkdir()
    main = tmp_path / "bundle" / "main.py"
    main.write_text(text)
    main.with_name("beside_it.py").write_text("")
    (tmp_path / "in_the_current_folder.py").write_text("")
    plain, ours = python(str(main), cwd=tmp_path), sdk(str(main), cwd=tmp_path)
    last_lines = [done.stderr.splitlines()[-1:] for done in (plain, ours)]
    assert (ours.stdout, ours.returncode, last_lines[1]) == (plain.stdout, plain.returncode, last_lines[0])


@pytest.mark.parametrize(
    "late",
    [
        "import threading; threading.Thread(target=lambda: (threading.main_thread().join(), tell())).start()",
        "import atexit; atexit.register(tell)",
    ],
    ids=["thread", "exit function"],
)
def test_what_a_program_does_at_its_very_end_still_belongs_to_the_run(tmp_path: Path, late: str) -> None:
    (tmp_path / "main.py").write_text(f"import wallaroo\ndef tell(): print(wallaroo.in_task(), wallaroo.task_args())\n{late}")
    (tmp_path / "args.json").write_text('{"rows": 3}')
    done = sdk("main.py", "--args-file", "args.json", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("True {'rows': 3}\n", "")


def test_a_child_that_the_program_forks_does_not_take_the_run_away(tmp_path: Path) -> None:
    text = """
import os, sys, wallaroo
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
print(wallaroo.task_args())
"""
    (tmp_path / "main.py").write_text(text)
    done = sdk("main.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("{}\n", "")


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import os; print(os.environ['ORCHLITE_RUN_FOLDER'])")
    folder = Path(sdk("main.py", cwd=tmp_path).stdout.strip())
    assert folder.name.startswith("orchlite-inline-")
    assert not folder.exists()


def test_importing_orchlite_sdk_makes_wallaroo_importable(tmp_path: Path) -> None:
    code = "import orchlite.sdk, wallaroo, wallaroo.pipeline; print(wallaroo.in_task(), hasattr(wallaroo, '__orchlite__'))"
    assert python("-c", code, cwd=tmp_path).stdout == "False True\n"


def test_without_it_wallaroo_is_not_importable(tmp_path: Path) -> None:
    assert "No module named 'wallaroo'" in python("-c", "import orchlite, wallaroo", cwd=tmp_path).stderr


def test_importing_orchlite_sdk_leaves_an_installed_sdk_alone(tmp_path: Path) -> None:
    (tmp_path / "wallaroo").mkdir()
    (tmp_path / "wallaroo" / "__init__.py").write_text("kind = 'installed'")
    assert python("-c", "import orchlite.sdk, wallaroo; print(wallaroo.kind)", cwd=tmp_path).stdout == "installed\n"
