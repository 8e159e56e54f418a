"""The pytest plugin: its fixtures, used as any test would, and the reports of tests that fail."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, TaskRun, in_task
from orchlite.testing import ManualClock

Run = Callable[..., TaskRun]
Inline = Callable[..., dict[str, Any]]

_PLUGIN = "orchlite.pytest_plugin"
_LOADED = ["-p", _PLUGIN]
_IS_INSTALLED = any(found.value == _PLUGIN for found in entry_points(group="pytest11"))
pytest_plugins = ["pytester", *([] if _IS_INSTALLED else [_PLUGIN])]


class TestRunOrchestration:
    def test_runs_the_texts_that_it_is_given_in_a_process_of_its_own(self, run_orchestration: Run) -> None:
        run = run_orchestration({"main.py": "import os, rows\nprint(rows.NUMBER, os.getpid())", "rows.py": "NUMBER = 3"})
        number, pid = str(run.logs()).split()
        assert (run.status(), number) == ("success", "3")
        assert int(pid) != os.getpid()

    def test_runs_a_folder_with_arguments(self, run_orchestration: Run, tmp_path: Path) -> None:
        (tmp_path / "main.py").write_text("import wallaroo\nprint(wallaroo.Client().task_args()['rows'] * 2)")
        assert str(run_orchestration(tmp_path, {"rows": 21}).logs()) == "42\n"

    def test_a_text_may_be_as_indented_as_the_test_around_it(self, run_orchestration: Run) -> None:
        files = {
            "main.py": """
                if True:
                    print("ran")
            """
        }
        assert str(run_orchestration(files).logs()) == "ran\n"

    def test_the_program_reads_the_connections_that_the_test_gives(self, run_orchestration: Run) -> None:
        files = {"main.py": "import wallaroo\nprint(wallaroo.Client().get_connection('warehouse').details()['host'])"}
        for host in ("first", "first", "second"):
            assert str(run_orchestration(files, connections={"warehouse": {"host": host}}).logs()) == f"{host}\n"

    def test_variables_reach_the_program(self, run_orchestration: Run) -> None:
        assert str(run_orchestration({"main.py": "import os\nprint(os.environ['COLOUR'])"}, env={"COLOUR": "red"}).logs()) == "red\n"

    def test_a_program_that_fails_is_a_status(self, run_orchestration: Run) -> None:
        assert run_orchestration({"main.py": "raise SystemExit(3)"}).exit_code() == 3

    @pytest.mark.slow
    def test_a_program_that_takes_too_long_is_a_status(self, run_orchestration: Run) -> None:
        assert run_orchestration({"main.py": "import time\ntime.sleep(60)"}, timeout=1).status() == "timed_out"

    def test_what_the_program_writes_and_what_it_was_is_kept(self, run_orchestration: Run) -> None:
        [made] = run_orchestration({"main.py": "open('report.txt', 'w').write('done')"}).files()
        assert (made.read_text(), (made.parent / "main.py").exists()) == ("done", True)

    @pytest.mark.parametrize("name", ["../main.py", "/main.py", "", "a/../../main.py", "a\0b", 3], ids=repr)
    def test_a_name_that_leads_out_of_the_bundle_is_refused(self, run_orchestration: Run, name: Any) -> None:
        with pytest.raises(BadArgument, match="not the name of a file"):
            run_orchestration({name: "print(1)"})


class TestClient:
    @pytest.mark.parametrize("turn", [1, 2])
    def test_every_test_has_an_empty_store(self, orchlite_client: Client, run_orchestration: Run, turn: int) -> None:
        assert [*orchlite_client.list_orchestrations(), *orchlite_client.list_tasks(), *orchlite_client.list_connections()] == []
        run_orchestration({"main.py": "pass"}, connections={"warehouse": {"turn": turn}})
        assert len(orchlite_client.list_tasks()) == 1

    def test_a_run_of_the_fixture_is_one_of_the_clients(self, orchlite_client: Client, run_orchestration: Run) -> None:
        run = run_orchestration({"main.py": "pass"})
        assert orchlite_client.get_task_run_by_id(run.id()) == run
        assert orchlite_client.check() == []

    def test_goes_by_the_clock_where_the_test_uses_it(self, orchlite_client: Client, orchlite_clock: ManualClock, tmp_path: Path) -> None:
        (tmp_path / "main.py").write_text("pass")
        task = orchlite_client.upload_orchestration(path=tmp_path).run_scheduled("nightly", "30 2 * * *")
        orchlite_clock.advance(days=2)
        assert [run.scheduled_at().isoformat() for run in task.last_runs()] == ["2026-01-02T02:30:00+00:00", "2026-01-01T02:30:00+00:00"]  # type: ignore[union-attr]


class TestRunInline:
    def test_the_program_runs_in_this_process_as_a_task(self, run_inline: Inline) -> None:
        names = run_inline(
            {"main.py": "import os, wallaroo\nwl = wallaroo.Client()\nseen = os.getpid(), wl.in_task(), wl.task_args()"}, {"a": 1}
        )
        assert names["seen"] == (os.getpid(), True, {"a": 1})
        assert not in_task()

    def test_a_replaced_module_reaches_the_program(self, run_inline: Inline, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud = types.ModuleType("google.cloud")
        bigquery = types.ModuleType("google.cloud.bigquery")
        bigquery.Client = lambda: "no network"  # type: ignore[attr-defined]
        cloud.bigquery = bigquery  # type: ignore[attr-defined]
        for name, module in {"google": types.ModuleType("google"), "google.cloud": cloud, "google.cloud.bigquery": bigquery}.items():
            monkeypatch.setitem(sys.modules, name, module)
        assert run_inline({"main.py": "from google.cloud import bigquery\nclient = bigquery.Client()"})["client"] == "no network"

    def test_it_works_in_a_copy_of_the_bundle(self, run_inline: Inline, tmp_path: Path) -> None:
        source, work = tmp_path / "source", tmp_path / "work"
        source.mkdir()
        (source / "main.py").write_text("from pathlib import Path\nPath('out.txt').write_text(Path('in.txt').read_text() + __file__)")
        (source / "in.txt").write_text("from ")
        before = Path.cwd()
        run_inline(source, work=work)
        assert (work / "out.txt").read_text() == f"from {source / 'main.py'}"
        assert (sorted(path.name for path in source.iterdir()), Path.cwd()) == (["in.txt", "main.py"], before)

    def test_a_folder_with_files_is_no_place_to_work_in(self, run_inline: Inline, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(BadArgument, match="not empty"):
            run_inline({"main.py": "pass"}, work=tmp_path)

    @pytest.mark.parametrize("end", ["", "import sys; sys.exit()", "raise SystemExit(0)"], ids=["end", "exit", "zero"])
    def test_every_good_end_answers_the_names(self, run_inline: Inline, end: str) -> None:
        assert run_inline({"main.py": f"answer = 42\n{end}"})["answer"] == 42

    @pytest.mark.parametrize(("end", "raised"), [("sys.exit(3)", SystemExit), ("1 / 0", ZeroDivisionError)], ids=["exit code", "error"])
    def test_a_bad_end_is_raised(self, run_inline: Inline, end: str, raised: type[BaseException]) -> None:
        with pytest.raises(raised):
            run_inline({"main.py": f"import sys\n{end}"})

    def test_connections_are_those_of_the_client(self, run_inline: Inline, orchlite_client: Client) -> None:
        orchlite_client.create_connection("lake", "s3", {"bucket": "b"})
        program = "import wallaroo\nwl = wallaroo.Client()\nfound = [wl.get_connection(name).details() for name in ('lake', 'warehouse')]"
        assert run_inline({"main.py": program}, connections={"warehouse": {"host": "h"}})["found"] == [{"bucket": "b"}, {"host": "h"}]

    def test_without_a_client_the_program_has_a_store_of_its_own(self, run_inline: Inline, tmp_path: Path) -> None:
        program = """
            import wallaroo
            wl = wallaroo.Client()
            found = wl.list_connections()
            wl.create_connection('mine', 'x', {})
        """
        found = [run_inline({"main.py": program}, work=tmp_path / name)["found"] for name in ("first", "second")]
        assert [len(connections) for connections in found] == [0, 0]

    @pytest.mark.parametrize("name", ["bundle.zip", "absent"])
    def test_what_is_no_program_is_refused(self, run_inline: Inline, tmp_path: Path, name: str) -> None:
        (tmp_path / "bundle.zip").touch()
        with pytest.raises(BadArgument, match="no program"):
            run_inline(tmp_path / name)


def test_the_server_answers_for_the_clients_store(request: pytest.FixtureRequest) -> None:
    if find_spec("orchlite.rest.server") is None or find_spec("uvicorn") is None:
        pytest.skip("there is no server")
    server = request.getfixturevalue("orchlite_server")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.token
    assert server.url in server.environment().values()


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions within tests load this plugin by name, and none of the others that are installed here: they take seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def inner(pytester: pytest.Pytester, text: str, *arguments: str, subprocess: bool = False) -> pytest.RunResult:
    """Run a file of tests in a session of its own, with the plugin and without a cache folder."""
    pytester.makepyfile(text)
    run = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
    return run("-p", "no:cacheprovider", *_LOADED, *arguments)


def test_the_log_of_a_failed_tests_runs_is_in_its_report(pytester: pytest.Pytester) -> None:
    result = inner(
        pytester,
        """
        def test_fails(run_orchestration):
            run_orchestration({"main.py": "print('the first')"})
            assert run_orchestration({"main.py": "print('so far, so good')\\nraise SystemExit(7)"}).exit_code() == 0
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        ["-+ orchlite run .*: success, exit code 0 -+", "the first", "-+ orchlite run .*: failure, exit code 7 -+", "so far, so good"],
        consecutive=True,
    )


@pytest.mark.slow
def test_the_log_of_an_installation_that_failed_is_in_the_report(pytester: pytest.Pytester) -> None:
    result = inner(
        pytester,
        """
        def test_fails(run_orchestration, monkeypatch):
            monkeypatch.setenv("PIP_NO_INDEX", "1")
            run_orchestration({"main.py": "pass", "requirements.txt": "orchlite-absent==1.0"})
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(["-+ orchlite run .*: failure.* -+"])


def test_a_test_that_passes_or_closes_its_client_reports_nothing_odd(pytester: pytest.Pytester) -> None:
    result = inner(
        pytester,
        """
        def test_passes(run_orchestration):
            assert run_orchestration({"main.py": "print('hidden')"}).status() == "success"

        def test_closes(orchlite_client):
            orchlite_client.close()
            assert False
        """,
        "-rA",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*hidden*")
    result.stdout.fnmatch_lines(["*The runs of this test cannot be read: This client is closed.*"])


@pytest.mark.slow
def test_with_xdist_the_logs_arrive_and_nothing_is_shared(pytester: pytest.Pytester) -> None:
    result = inner(
        pytester,
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_runs(run_orchestration, orchlite_client, number):
            run = run_orchestration({"main.py": "import wallaroo; print('number', wallaroo.task_args()['number'])"}, {"number": number})
            assert (f"number {number}" in run.logs()) == (number != 2)
            assert len(orchlite_client.list_tasks()) == 1
        """,
        *("-p", "xdist.plugin", "-n", "2"),
        subprocess=True,
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*orchlite run *: success, exit code 0*", "number 2"])


@pytest.fixture
def scene(pytester: pytest.Pytester) -> Path:
    """A scene of one pipeline, `doubled`, in a folder of its own."""
    folder = pytester.mkdir("scenes")
    (folder / "step.py").write_text("def process_data(columns):\n    return {'y': columns['x'] * 2}\n")
    (folder / "scene.toml").write_text('[models.step]\npath = "step.py"\n[pipelines.doubled]\nsteps = ["step"]\n')
    return folder / "scene.toml"


@pytest.mark.slow
def test_a_scene_is_in_the_store_of_each_test_that_is_marked(pytester: pytest.Pytester, scene: Path) -> None:
    text = """
        import pytest

        @pytest.mark.orchlite_scene("scenes/scene.toml")
        class TestMarked:
            @pytest.mark.parametrize("turn", [1, 2])
            def test_runs(self, run_orchestration, turn):
                main = "import wallaroo; print(wallaroo.Client().get_pipeline('doubled').infer([{'x': 2.0}]))"
                assert str(run_orchestration({"main.py": main}).raise_for_failure().logs()) == "[{'y': 4.0}]\\n"

            def test_runs_inline(self, run_inline):
                names = run_inline({"main.py": "import wallaroo; name = wallaroo.Client().get_pipeline('doubled').name()"})
                assert names["name"] == "doubled"

        def test_unmarked(orchlite_client):
            assert orchlite_client.list_pipelines() == []
        """
    inner(pytester, text, "--strict-markers").assert_outcomes(passed=4)


def test_a_scene_that_is_refused_is_an_error_of_the_test_with_its_line(pytester: pytest.Pytester, scene: Path) -> None:
    scene.write_text('[models.step]\npath = "none.py"\n')
    text = """
        import pytest

        @pytest.mark.orchlite_scene("scenes/scene.toml")
        def test_marked(orchlite_client):
            pass
        """
    result = inner(pytester, text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E * scene.toml, line 2, models.step.path: *none.py' cannot be read: No such file or directory*"])


@pytest.mark.slow
def test_nothing_of_orchlite_is_loaded_until_a_fixture_is_used(pytester: pytest.Pytester) -> None:
    text = """
        import sys

        def test_uses_none():
            found = sorted(name for name in sys.modules if name.split(".")[0] in ("orchlite", "sqlite3", "wallaroo"))
            assert found == ["orchlite", "orchlite.pytest_plugin"]
        """
    inner(pytester, text, subprocess=True).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_server_without_its_extra_fails_with_the_line_that_installs_it(pytester: pytest.Pytester) -> None:
    text = """
        import sys

        sys.modules["orchlite.rest"] = None

        def test_asks(orchlite_server):
            pass
        """
    result = inner(pytester, text, subprocess=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pip install 'orchlite[[]server[]]'*"])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["patch", "start"])
def test_the_coverage_of_programs_in_real_runs_is_measured(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    pytest.importorskip("coverage")
    program = pytester.mkdir("greeting") / "main.py"
    program.write_text("import sys\nif len(sys.argv) > 5:\n    print('never')\nprint('always')\n")
    patch = "patch = subprocess\n" if way == "patch" else ""
    paths = "[paths]\nmain =\n    greeting\n    */runs/*/*/work\n"
    config = pytester.makefile(".ini", coverage=f"[run]\nparallel = true\nsource = greeting\n{patch}{paths}")
    monkeypatch.delenv("COVERAGE_FILE", raising=False)
    if way == "start":
        monkeypatch.setenv("COVERAGE_PROCESS_START", str(config))
    pytester.makepyfile("def test_it(run_orchestration):\n    run_orchestration('greeting').raise_for_failure()")
    coverage = [sys.executable, "-m", "coverage"]
    rc = f"--rcfile={config}"
    pytester.run(*coverage, "run", rc, "-m", "pytest", "-p", "no:cacheprovider", *_LOADED).assert_outcomes(passed=1)
    assert pytester.run(*coverage, "combine", rc).ret == 0
    pytester.run(*coverage, "report", rc, "-m").stdout.re_match_lines([r"greeting/main\.py +4 +1 +75% +3"])
