"""The verbs `models`, `pipelines`, `pipeline-logs`, and what `show` shows of models and pipelines."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import Result

import orchlite
from orchlite.cli.lookup import IdOrName
from orchlite.core.pipeline_steps import step_texts
from orchlite.inference import libraries

Call = Callable[..., Result]
Rows = Callable[..., list[dict[str, Any]]]
MakeFolder = Callable[..., Path]

_STEP = "def process_data(columns):\n    return {{'{name}': columns['x'] * {factor}}}\n"


@pytest.fixture
def wl(store: Path, tmp_path: Path) -> Iterator[orchlite.Client]:
    """A client of a store with two models, a pipeline of each kind, and three records in the logs of `prices`."""
    for name, factor in (("first", 2), ("second", 3)):
        (tmp_path / f"{name}.py").write_text(_STEP.format(name="price", factor=factor))
    with orchlite.Client(store) as client:
        first, second = (client.upload_model(name, tmp_path / f"{name}.py", "python") for name in ("first", "second"))
        prices = client.build_pipeline("prices").add_model_step(first).deploy()
        client.build_pipeline("shadow").add_shadow_deploy(first, [second]).deploy()
        client.build_pipeline("split").add_random_split([(2, first), (0.5, second)]).deploy().undeploy()
        client.build_pipeline("empty")
        for x in (1.0, 2.0, 0.1):
            prices.infer(pd.DataFrame({"x": np.array([x])}))
        yield client


@pytest.fixture
def rows(call: Call) -> Rows:
    """Call a verb with `--json`, and return what it lists."""

    def listed(*words: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(call(*words, "--json").stdout)
        return found

    return listed


@pytest.mark.parametrize("words", [["models"], ["pipelines"], ["pipeline-logs", "prices"]], ids=lambda words: words[0])
def test_reading_a_missing_store_creates_none(call: Call, store: Path, words: list[str]) -> None:
    refused = call(*words)
    assert (refused.exit_code, store.exists()) == (2, False)
    assert "There is no store" in refused.stderr


def test_models_are_listed_newest_first_with_their_newest_version(call: Call, rows: Rows, wl: orchlite.Client, tmp_path: Path) -> None:
    newest = wl.upload_model("first", tmp_path / "second.py", "python")
    header, second, first = call("models").stdout.splitlines()
    assert header.split() == ["ID", "NAME", "FRAMEWORK", "FILE", "VERSION", "VERSIONS", "UPLOADED"]
    assert second.split()[1:4] == ["second", "python", "second.py"]
    assert first.split()[1:6] == ["first", "python", "second.py", newest.version(), "2"]
    assert [(one["name"], len(one["versions"])) for one in rows("models")] == [("second", 1), ("first", 2)]
    assert rows("models")[1]["versions"][0]["sha"] == newest.sha()


def test_pipelines_are_listed_newest_first_with_their_steps(call: Call, rows: Rows, wl: orchlite.Client) -> None:
    empty, split, shadow, prices = (line.split("  ") for line in call("pipelines").stdout.splitlines()[1:])
    cells = [[cell.strip() for cell in line if cell.strip()][1:4] for line in (prices, shadow, split)]
    assert cells == [
        ["prices", "deployed", "first"],
        ["shadow", "deployed", "shadow of first: second"],
        ["split", "undeployed", "split: first 2, second 0.5"],
    ]
    assert "undeployed" in "".join(empty)
    assert [(one["name"], len(one["steps"]), one["deployed_version"] == one["version"]) for one in rows("pipelines")] == [
        ("empty", 0, False),
        ("split", 1, False),
        ("shadow", 3, True),
        ("prices", 1, True),
    ]


def test_a_key_split_is_told_with_its_routes() -> None:
    split = {"split_key": "card", "control": {"name": "first"}, "routes": {"gold": {"name": "second"}}}
    assert list(step_texts([{"MetaValueSplit": split}])) == ["split by card: gold second, else first"]


def test_the_lists_of_another_workspace_are_empty(call: Call, wl: orchlite.Client) -> None:
    wl.create_workspace("other")
    for verb in ("models", "pipelines"):
        assert call(verb, "--workspace", "other").stderr == "orchlite: none found\n"


class TestPipelineLogs:
    def test_are_printed_newest_first(self, call: Call, rows: Rows, wl: orchlite.Client) -> None:
        assert [(one["in.x"], one["out.price"]) for one in rows("pipeline-logs", "prices")] == [(0.1, 0.2), (2.0, 4.0), (1.0, 2.0)]
        header, newest, *_ = call("pipeline-logs", "prices").stdout.splitlines()
        assert header.split() == ["TIME", "IN.X", "OUT.PRICE", "ANOMALY.COUNT"]
        assert newest.split()[-3:] == ["0.1", "0.2", "0"]

    def test_have_times_in_utc(self, rows: Rows, wl: orchlite.Client) -> None:
        [newest] = rows("pipeline-logs", "prices", "-n", 1)
        assert pd.Timestamp(newest["time"]) == wl.get_pipeline("prices").logs(limit=1)["time"][0].tz_localize("UTC")

    def test_with_dates_are_printed_oldest_first(self, rows: Rows, wl: orchlite.Client) -> None:
        for words in (["--since", "1h"], ["--until", "2100-01-01"], ["--since", "1h", "--until", "2100-01-01"]):
            assert [one["in.x"] for one in rows("pipeline-logs", "prices", *words)] == [1.0, 2.0, 0.1]
        assert rows("pipeline-logs", "prices", "--since", "2100-01-01", "--until", "2100-01-02") == []
        assert rows("pipeline-logs", "prices", "--until", "1h") == []

    def test_say_that_there_are_more(self, call: Call, wl: orchlite.Client) -> None:
        assert call("pipeline-logs", "prices", "-n", 2).stderr == "orchlite: these are the newest 2; -n 0 prints all\n"
        assert call("pipeline-logs", "prices", "-n", 2, "--since", "1h").stderr == "orchlite: these are the oldest 2; -n 0 prints all\n"
        assert call("pipeline-logs", "prices", "-n", 0).stderr == ""
        assert call("pipeline-logs", "empty").stderr == "orchlite: none found\n"

    def test_end_where_the_columns_change_and_say_how_to_read_the_others(self, call: Call, rows: Rows, wl: orchlite.Client) -> None:
        prices = wl.get_pipeline("prices").add_shadow_deploy(wl.get_model("first"), [wl.get_model("second")]).deploy()
        prices.infer(pd.DataFrame({"x": [5.0]}))
        for first, *option in ([5.0], [1.0, "--since", "1h"]):
            shown = call("pipeline-logs", "prices", *option, "--json")
            assert json.loads(shown.stdout)[0]["in.x"] == first
            words = shown.stderr.split("`")[1].split()
            assert words[:3] == ["orchlite", "pipeline-logs", "prices"]
            assert [one["in.x"] for one in rows(*words[1:])] == ([5.0] if option else [1.0, 2.0, 0.1])

    def test_have_null_for_what_json_lacks(self, call: Call, wl: orchlite.Client) -> None:
        wl.get_pipeline("prices").infer(pd.DataFrame({"x": [float("nan")]}))
        assert json.loads(call("pipeline-logs", "prices", "--json").stdout, parse_constant=pytest.fail)[0]["in.x"] is None

    def test_of_an_unknown_pipeline_are_refused(self, call: Call, wl: orchlite.Client) -> None:
        refused = call("pipeline-logs", "nothing")
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "`orchlite pipelines`" in refused.stderr

    def test_say_which_extra_is_missing(self, call: Call, wl: orchlite.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(vars(libraries), "pa", raising=False)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        refused = call("pipeline-logs", "prices")
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert 'pip install "orchlite[inference]"' in refused.stderr
        assert call("models").exit_code == call("pipelines").exit_code == 0


class TestShow:
    def test_shows_a_pipeline_with_its_versions(self, call: Call, wl: orchlite.Client) -> None:
        shown = json.loads(call("show", "prices", "--json").stdout)
        assert (shown["what"], shown["name"], [len(one["steps"]) for one in shown["versions"]]) == ("pipeline", "prices", [1, 0])
        text = call("show", "prices").stdout
        assert "steps         first\n" in text
        assert "no steps" in text

    def test_says_what_is_deployed_if_it_is_not_the_newest(self, call: Call, wl: orchlite.Client) -> None:
        [deployed, *_] = wl.get_pipeline("prices").versions()
        wl.build_pipeline("prices")
        [line] = [line for line in call("show", "prices").stdout.splitlines() if line.startswith("deployed ")]
        assert deployed.name() in line

    def test_shows_a_model(self, call: Call, wl: orchlite.Client) -> None:
        shown = json.loads(call("show", "second", "--json").stdout)
        assert (shown["what"], shown["versions"][0]["file_name"]) == ("model", "second.py")
        assert wl.get_model("second").sha() in call("show", "second").stdout

    def test_counts_versions_beyond_the_newest_five(self, call: Call, wl: orchlite.Client, tmp_path: Path) -> None:
        for _ in range(6):
            wl.upload_model("second", tmp_path / "second.py", "python")
        assert "and 2 older" in call("show", "second").stdout

    def test_takes_the_orchestration_of_a_name_before_a_pipeline_and_the_pipeline_with_what(
        self, call: Call, wl: orchlite.Client, folder: MakeFolder
    ) -> None:
        wl.upload_orchestration(path=folder("print(1)"), name="prices")
        shown = call("show", "prices")
        assert shown.stdout.startswith("what          orchestration")
        assert "1 other has the name 'prices': pipeline 1; `orchlite show prices --what pipeline` shows one" in shown.stderr
        shown = call("show", "prices", "--what", "pipeline")
        assert shown.stdout.startswith("what          pipeline")
        assert shown.stderr == ""

    def test_refuses_a_kind_that_does_not_have_the_name(self, call: Call, wl: orchlite.Client) -> None:
        refused = call("show", "prices", "--what", "run")
        assert refused.exit_code == 2
        assert refused.stderr == "orchlite: There is no run 'prices' here. --what pipeline shows what has the name.\n"


def test_names_of_pipelines_and_models_are_completed(wl: orchlite.Client) -> None:
    def completed(incomplete: str, *kinds: str) -> list[str]:
        command = click.Command("show")
        return [item.value for item in IdOrName(*kinds).shell_complete(click.Context(command), click.Argument(["word"]), incomplete)]

    assert completed("s", "pipelines") == ["shadow", "split"]
    assert completed("s", "models") == ["second"]
    assert completed("s", "tasks") == []


def test_a_model_that_is_deleted_meanwhile_does_no_harm(call: Call, wl: orchlite.Client, store: Path) -> None:
    with closing(sqlite3.connect(store / "store.sqlite")) as database, database:
        database.execute("DELETE FROM model_versions WHERE model_id = 2")
    assert call("models").exit_code == call("show", "second").exit_code == 0
