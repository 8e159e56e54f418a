"""What differs between two runs: as Python returns it, and as the verb `compare` shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite
from orchlite import Difference, Packages
from orchlite.store.run_packages import sha_of

Call = Callable[..., Result]
_OLD_MAIN = "import json; json.dump({'auc': 0.5}, open('metrics.json', 'w'))"
_NEW_MAIN = "import json; json.dump({'auc': 0.25}, open('metrics.json', 'w')); exit(3)"
_OLD = Packages("3.11.7", ("Six==1.16.0", "idna==3.4"), ("numpy==2.1.0", "six==1.17.0"))
_NEW = Packages("3.11.8", ("six==1.17.0", "idna==3.4"), ("numpy==2.1.0", "extra==1.0"))
_EXPECTED = [
    Difference("run", "status", "changed", "success", "failure"),
    Difference("run", "exit_code", "changed", 0, 3),
    Difference("run", "timeout_seconds", "added", None, 60.0),
    Difference("run", "memory_bytes", "added", None, 2**30),
    Difference("code", "data/gone.csv", "removed", 2, None),
    Difference("code", "main.py", "changed", len(_OLD_MAIN), len(_NEW_MAIN)),
    Difference("code", "new.txt", "added", None, 1),
    Difference("package", "extra", "added", None, "1.0"),
    Difference("package", "python", "changed", "3.11.7", "3.11.8"),
    Difference("package", "six", "changed", "1.16.0", "1.17.0"),
    Difference("argument", "m", "added", None, [1]),
    Difference("argument", "n", "changed", 1, True),
    Difference("variable", "A", "changed", None, None),
    Difference("variable", "B", "added", None, None),
    Difference("metric", "auc", "changed", 0.5, 0.25),
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tasks `old` and `new`, each with a run."""
    path = tmp_path_factory.mktemp("compared")
    main, gone = path / "job" / "main.py", path / "job" / "data" / "gone.csv"
    gone.parent.mkdir(parents=True)
    gone.write_text("1\n")
    main.write_text(_OLD_MAIN)
    with orchlite.Client(path / "store", workers=1, base_image="clean") as wl:
        old = wl.upload_orchestration(path=path / "job").run_once("old", {"n": 1, "same": 0}, env={"A": "a-secret", "C": "c"}).wait()
        gone.unlink()
        (path / "job" / "new.txt").write_text("!")
        main.write_text(_NEW_MAIN)
        changed = wl.upload_orchestration(path=path / "job")
        variables = {"A": "another-secret", "B": "b-secret", "C": "c"}
        new = changed.run_once("new", {"n": True, "m": [1], "same": 0}, 60, env=variables, memory="1GiB").wait()
        store = wl._engine.context.store
        with store.transaction() as transaction:
            for run, packages in ((old, _OLD), (new, _NEW)):
                store.run_packages.insert(transaction, packages)
                store.run_packages.set(transaction, run.id(), sha_of(packages))
    return path / "store"


@pytest.fixture
def on_it(call: Call, compared: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line on that store."""
    monkeypatch.setenv("ORCHLITE_STORE", str(compared))
    return call


def test_differences_are_listed_by_kind_and_name(compared: Path) -> None:
    with orchlite.Client(compared, workers=1) as wl:
        old, new = (next(task for task in wl.list_tasks() if task.name() == name).last_runs()[0] for name in ("old", "new"))
        found = old.compare(new)
        assert [each for each in found.differences if each.name != "duration_seconds"] == _EXPECTED
        assert (found.first, found.second, found.packages_unknown) == (old.id(), new.id(), ())
        assert [each.change for each in new.compare(old).differences if each.kind == "code"] == ["added", "changed", "removed"]
        assert old.compare(old).differences == ()


def test_they_are_a_table_without_the_values_of_variables(on_it: Call) -> None:
    shown = on_it("compare", "old", "new")
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["package", "six", "changed", "1.16.0", "1.17.0"] in rows
    assert ["argument", "n", "changed", "1", "true"] in rows
    assert ["variable", "B", "added"] in rows
    assert ["run", "timeout", "added", "1", "min", "00", "s"] in rows
    assert ["run", "memory", "added", "1", "GiB"] in rows
    assert "secret" not in shown.stdout


def test_programs_get_the_runs_and_their_differences(on_it: Call) -> None:
    shown = on_it("compare", "old", "new", "--json")
    found = json.loads(shown.stdout)
    assert (found["first"]["status"], found["second"]["status"]) == ("success", "failure")
    assert [each for each in found["differences"] if each["name"] != "duration_seconds"] == [each._asdict() for each in _EXPECTED]
    assert found["packages_unknown"] == []
    assert "secret" not in shown.stdout


def test_a_run_does_not_differ_from_itself(on_it: Call) -> None:
    shown = on_it("compare", "new", "new")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "orchlite: they do not differ\n")


def test_what_is_no_run_is_refused(on_it: Call, compared: Path) -> None:
    assert on_it("compare", "old", "nothing").exit_code == 2
    with orchlite.Client(compared, workers=1) as wl, pytest.raises(orchlite.BadArgument, match="other is of type str"):
        wl.list_tasks()[0].last_runs()[0].compare("old")  # type: ignore[arg-type]
