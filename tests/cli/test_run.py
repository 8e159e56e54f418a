"""The verbs `upload` and `run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]

_SHOWS = "import json, wallaroo\nprint(json.dumps(wallaroo.task_args(), sort_keys=True))\n"


@pytest.mark.parametrize("code", [0, 1, 77], ids=str)
def test_run_exits_with_the_exit_code_of_the_program(call: Call, folder: MakeFolder, code: int) -> None:
    assert call("run", folder(f"raise SystemExit({code})")).exit_code == code


def test_output_keeps_its_stream(call: Call, folder: MakeFolder) -> None:
    done = call("run", folder("import sys\nprint('out')\nprint('err', file=sys.stderr)\n"), "--quiet")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_run_that_times_out_is_killed_and_not_a_success(call: Call, folder: MakeFolder) -> None:
    program = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nprint('x', flush=True)\ntime.sleep(60)\n"
    done = call("run", folder(program), "--timeout", "1s")
    assert done.exit_code == 124
    assert "timed_out" in done.stderr


def test_a_run_that_times_out_exits_with_124(call: Call, folder: MakeFolder) -> None:
    assert call("run", folder("import time\ntime.sleep(60)\n"), "--timeout", "1s").exit_code == 124


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--arg", "k=v"], {"k": "v"}),
        (["--arg", "k=3"], {"k": "3"}),
        (["--arg", "k:=3"], {"k": 3}),
        (["--arg", 'k:={"a": [1, null]}'], {"k": {"a": [1, None]}}),
        (["--arg", "k=a=b:=c"], {"k": "a=b:=c"}),
        (["--arg", "k="], {"k": ""}),
        (["--args-file", "args.json"], {"k": 1, "l": 2}),
        (["--args-file", "args.json", "--arg", "k=over"], {"k": "over", "l": 2}),
        (["--args-file", "-"], {"from": "stdin"}),
    ],
    ids=["text", "digits are text", "a number", "an object", "only the first sign counts", "empty", "a file", "over a file", "stdin"],
)
def test_arguments_reach_the_program(call: Call, folder: MakeFolder, tmp_path: Path, words: list[str], expected: dict[str, object]) -> None:
    (tmp_path / "args.json").write_text('{"k": 1, "l": 2}')
    done = call("run", folder(_SHOWS), *words, stdin='{"from": "stdin"}')
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--arg", "k"], "is not of the form K=V"),
        (["--arg", "=v"], "is not of the form K=V"),
        (["--arg", "k:=v"], "is not JSON"),
        (["--arg", "k=1", "--arg", "k=2"], "given twice"),
        (["--args-file", "nosuch.json"], "cannot be read"),
        (["--args-file", "list.json"], "is not a JSON object"),
        (["--timeout", "soon"], "is not a duration"),
        (["--timeout", "0.5s"], "1 to"),
        (["--env", "NOT_SET_ANYWHERE"], "is not set here"),
    ],
    ids=["no sign", "no name", "no JSON", "twice", "no file", "a list", "no duration", "too short", "no variable"],
)
def test_invalid_options_are_refused_in_one_line_before_anything_runs(
    call: Call, folder: MakeFolder, tmp_path: Path, words: list[str], complaint: str
) -> None:
    (tmp_path / "list.json").write_text("[1]")
    refused = call("run", folder("open('ran', 'w')"), *words, "--quiet")
    assert refused.exit_code == 2
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""


def test_variables_are_passed_by_value_or_by_name(call: Call, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "from here")
    done = call("run", folder("import os\nprint(os.environ['MINE'], os.environ['GIVEN'])\n"), "--env", "MINE", "-e", "GIVEN=a=b")
    assert done.stdout == "from here a=b\n"


def test_variables_come_from_a_file_or_standard_input_which_no_command_line_shows(
    call: Call, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINE", "from here")
    file = tmp_path / "variables"
    file.write_text("# secrets\n\nMINE\nGIVEN=a=b\nOVER=file\n")
    program = folder("import os\nprint(os.environ['MINE'], os.environ['GIVEN'], os.environ['OVER'])\n")
    assert call("run", program, "--env-file", file, "--env", "OVER=line").stdout == "from here a=b line\n"
    assert call("run", program, "--env-file", "-", stdin=file.read_text()).stdout == "from here a=b file\n"
    refused = call("run", program, "--env-file", tmp_path / "nosuch")
    assert (refused.exit_code, "cannot be read" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_indexes_come_from_a_file(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "indexes").write_text(f"{(tmp_path / 'index').as_uri()}\n")
    mine = folder({"main.py": "print(1)", "requirements.txt": "no-such-package==1.0\n"})
    failed = call("run", mine, "--index-url-file", tmp_path / "indexes", "--json")
    assert failed.exit_code == 1
    assert str(tmp_path / "index") in failed.stdout + failed.stderr


@pytest.mark.parametrize("option", ["--env", "--arg", "--index-url"])
def test_the_help_says_that_others_see_a_command_line(call: Call, option: str) -> None:
    told = " ".join(call("run", "--help").stdout.split())
    assert "Other users can see your command line." in told.partition(f"{option} ")[2]


def test_json_on_standard_output_is_the_run_only(call: Call, folder: MakeFolder) -> None:
    done = call("run", folder("open('made.txt', 'w').close()\nprint('hello')\n"), "--json")
    shape = json.loads(done.stdout)
    assert (shape["status"], shape["exit_code"]) == ("success", 0)
    assert [Path(file).name for file in shape["files"]] == ["made.txt"]
    assert shape["started_at"].endswith("Z")
    assert "hello\n" in done.stderr


def test_a_folder_is_uploaded_again_only_if_it_has_changed(call: Call, folder: MakeFolder) -> None:
    mine = folder("print(1)")
    first, again = call("upload", mine).stdout, call("upload", mine).stdout
    call("run", mine)
    (mine / "main.py").write_text("print(2)")
    assert call("run", mine).stdout == "2\n"
    assert first == again
    assert len(json.loads(call("orchestrations", "--json").stdout)) == 2


@pytest.mark.parametrize("form", ["id", "short id", "name"])
def test_an_orchestration_is_run_by_id_short_id_or_name(call: Call, folder: MakeFolder, form: str) -> None:
    orchestration_id = call("upload", folder("print('ran')"), "--name", "mine").stdout.strip()
    word = {"id": orchestration_id, "short id": orchestration_id[:8], "name": "mine"}[form]
    assert call("run", word).stdout == "ran\n"


def test_a_name_that_several_uploads_have_runs_the_newest_and_says_so(call: Call, folder: MakeFolder) -> None:
    ids = [call("upload", folder(f"print({number})"), "--name", "mine").stdout.strip() for number in range(2)]
    done = call("run", "mine")
    assert (done.exit_code, done.stdout) == (0, "1\n")
    assert f"'mine' is the name of 2 uploads: this is the newest, {ids[1][:8]} of " in done.stderr


def test_a_word_that_is_neither_a_path_nor_an_id_is_refused(call: Call, folder: MakeFolder) -> None:
    refused = call("run", "nosuch")
    assert refused.exit_code == 2
    assert "'nosuch'" in refused.stderr


@pytest.mark.slow
def test_failed_packaging_is_explained_in_one_line_with_a_command_for_the_rest(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    mine = folder({"main.py": "print('never')", "requirements.txt": "no-such-package-here==1.0\n"})
    failed = call("run", mine, "--index-url", (tmp_path / "index").as_uri(), "--quiet")
    assert failed.exit_code == 1
    assert failed.stdout == ""
    assert failed.stderr.count("\n") == 1
    assert "no-such-package-here" in failed.stderr
    told = failed.stderr.partition("`orchlite ")[2].partition("`")[0].split()
    assert "no-such-package-here" in call(*told).stdout


@pytest.mark.slow
def test_the_number_of_installed_packages_is_printed(call: Call, folder: MakeFolder, package_index: tuple[str, str]) -> None:
    url, requirement = package_index
    name = requirement.partition("==")[0]
    mine = folder({"main.py": f"import {name}\nprint({name}.WORDS)\n", "requirements.txt": requirement})
    done = call("run", mine, "--index-url", url)
    assert done.stdout == "from the package\n"
    assert "the environment is ready, with 1 package" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["upload", "run"])
def test_warnings_of_an_upload_are_printed_once(call: Call, folder: MakeFolder, verb: str) -> None:
    mine = folder({"main.py": "print(1)", ".streamlit/x": "", "json.py": "", "requirements.txt": "# none\n"})
    first = call(verb, mine).stderr
    assert (".streamlit" in first, "json.py" in first) == (True, True)
    for words in (["upload", mine], ["run", mine], ["run", mine.name]):
        assert "warning" not in call(*words).stderr
    told = json.loads(call("upload", mine, "--json").stdout)["warnings"]
    assert len(told) == 2


def test_what_is_left_out_is_named_on_one_line_and_junk_only_by_check(call: Call, folder: MakeFolder) -> None:
    never = ["__pycache__/x.pyc", ".git/HEAD", ".DS_Store", ".venv/pyvenv.cfg", ".pytest_cache/x", "sub/.mypy_cache/x", "sub/__pycache__/x"]
    mine = folder({"main.py": "print(1)", "sub/x.py": "", ".env": "", **dict.fromkeys(never, "")})
    warnings = [line for line in call("upload", mine).stderr.splitlines() if "warning" in line]
    [warning] = warnings
    assert warning.startswith("orchlite: warning: left out of the bundle: .env, .venv/;")
    assert len(json.loads(call("check", mine, "--json").stdout)["warnings"]) == 2
    assert ".pytest_cache" in call("check", mine).stdout


def test_a_detached_run_continues_after_the_command_has_ended(call: Call, slow: Path, tmp_path: Path) -> None:
    run_id = call("run", slow, "--detach", "--quiet").stdout.strip()
    (tmp_path / "gate").touch()
    assert call("logs", "-f", run_id).stdout == "begun\ndone\n"
    with orchlite.Client(tmp_path / "store") as wl:
        assert wl.get_task_run_by_id(run_id).wait(timeout=20).status() == "success"


def test_a_missing_workspace_is_named_with_the_command_that_creates_it(call: Call, folder: MakeFolder) -> None:
    mine = folder("print(1)")
    refused = call("run", mine, "-w", "other")
    assert refused.exit_code == 2
    assert "orchlite workspaces create other" in refused.stderr
    assert call("workspaces", "create", "other").exit_code == 0
    assert call("run", mine, "-w", "other").exit_code == 0
    assert json.loads(call("runs", "--json").stdout) == []
    assert len(json.loads(call("-w", "other", "runs", "--json").stdout)) == 1


def test_run_follows_the_tries_of_a_failed_run_and_exits_as_the_last(call: Call, folder: MakeFolder, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    flaky = f"import pathlib\nmark = pathlib.Path({str(mark)!r})\nprint('known' if mark.exists() else 'new')\nmark.touch(exist_ok=False)"
    ran = call("run", folder(flaky), "--retries", 1, "--retry-delay", "0s")
    assert (ran.stdout, ran.exit_code) == ("new\n", 0)
    failing = call("run", folder("print('try')\nraise SystemExit(4)"), "--retries", 1, "--retry-delay", "0s")
    assert (failing.stdout, failing.exit_code) == ("try\ntry\n", 4)
    assert "; try 2 is run " in failing.stderr


def test_a_delay_without_retries_is_refused_before_anything_is_stored(call: Call, folder: MakeFolder, store: Path) -> None:
    refused = call("run", folder("print(1)"), "--retry-delay", "5m")
    assert (refused.exit_code, store.exists()) == (2, False)
    assert "--retry-delay has no effect without retries. Give --retries." in refused.stderr


def test_a_detached_run_with_retries_asks_for_a_host(call: Call, folder: MakeFolder) -> None:
    assert "orchlite start" in call("run", folder("print(1)"), "--detach", "--retries", 1).stderr
    assert "orchlite start" not in call("run", folder("print(1)"), "--detach").stderr
