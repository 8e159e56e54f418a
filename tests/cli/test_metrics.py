"""The verb `metrics`, and what other verbs say of metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]

_PROGRAM = """
import json, wallaroo
given = wallaroo.Client().task_args()
if given:
    json.dump(given, open("metrics.json", "w"))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose task `nightly` has left metrics twice, and `plain` none."""
    path = tmp_path_factory.mktemp("measured")
    (path / "job").mkdir()
    (path / "job" / "main.py").write_text(_PROGRAM)
    with orchlite.Client(path / "store", workers=1) as wl:
        job = wl.upload_orchestration(path=path / "job")
        for given in ({"auc": 0.91, "rows": 7}, {"auc": 0.9312345678}):
            job.run_once("nightly", given).wait()
        job.run_once("plain").wait()
    return path / "store"


@pytest.fixture
def on_it(call: Call, measured: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line on that store."""
    monkeypatch.setenv("ORCHLITE_STORE", str(measured))
    return call


def _values(result: Result) -> list[list[str]]:
    return [line.split("  ")[-1].split() for line in result.stdout.splitlines()[1:]]


def test_a_metric_is_a_series_oldest_first(on_it: Call) -> None:
    assert _values(on_it("metrics", "nightly", "auc")) == [["0.91"], ["0.931235"]]
    assert _values(on_it("metrics", "nightly", "auc", "-n", 1)) == [["0.931235"]]


def test_without_names_all_are_shown(on_it: Call) -> None:
    first, second = json.loads(on_it("metrics", "nightly", "--json").stdout)
    assert (first["metrics"], second["metrics"]) == ({"auc": 0.91, "rows": 7}, {"auc": 0.9312345678})
    assert set(first) == {"run_id", "at", "metrics"}
    assert on_it("metrics", "nightly").stdout.splitlines()[0].split()[-2:] == ["auc", "rows"]


@pytest.mark.parametrize(("word", "hint"), [("nightly", "It has auc, rows."), ("plain", "Its runs have left no metrics.json.")])
def test_an_unknown_metric_is_named_with_those_that_are_there(on_it: Call, word: str, hint: str) -> None:
    refused = on_it("metrics", word, "f1")
    assert (refused.exit_code, f"{word!r} has no metric 'f1'" in refused.stderr, hint in refused.stderr) == (2, True, True)


def test_of_a_task_without_metrics_there_are_none(on_it: Call) -> None:
    assert "none found" in on_it("metrics", "plain").stderr


def test_runs_has_a_column_for_each_if_asked(on_it: Call) -> None:
    assert on_it("runs", "--metrics").stdout.splitlines()[0].split()[-2:] == ["auc", "rows"]
    assert "auc" not in on_it("runs").stdout
    assert [run["metrics"] for run in json.loads(on_it("runs", "--metrics", "--json").stdout)][:2] == [{}, {"auc": 0.9312345678}]


def test_show_has_those_of_a_run(on_it: Call) -> None:
    [run, *_] = json.loads(on_it("runs", "nightly", "--json").stdout)
    assert "auc 0.931235" in on_it("show", run["id"]).stdout
    assert json.loads(on_it("show", run["id"], "--json").stdout)["metrics"] == {"auc": 0.9312345678}
