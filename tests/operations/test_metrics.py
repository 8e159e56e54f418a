"""The metrics that a run leaves: numbers in `metrics.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchlite import Client, NotFound, Orchestration, TaskRun

MakeFolder = Callable[..., Path]

_WRITE = (
    "import json, os, pathlib, sys\n"
    "given = json.loads(pathlib.Path(os.environ['ORCHLITE_RUN_FOLDER'], 'arguments.json').read_text())\n"
    "path = pathlib.Path('metrics.json')\n"
    "match given.get('as', 'file'):\n"
    "    case 'file': path.write_text(given['text'])\n"
    "    case 'link': pathlib.Path('other.json').write_text(given['text']), path.symlink_to('other.json')\n"
    "    case 'pipe': os.mkfifo(path)\n"
    "    case 'folder': path.mkdir()\n"
    "sys.exit(given.get('exit', 0))\n"
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client that keeps nothing of a run's working folder."""
    with Client(tmp_path_factory.mktemp("metrics") / "store", workers=1, keep_work="none") as client:
        yield client


@pytest.fixture(scope="module")
def orchestration(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Orchestration:
    """An orchestration that writes what its argument `text` says."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "main.py").write_text(_WRITE)
    return client.upload_orchestration(path=folder)


def _run(orchestration: Orchestration, **arguments: object) -> TaskRun:
    return orchestration.run_once("measured", arguments).wait()


@pytest.mark.parametrize("exit_code", [0, 3])
def test_are_what_the_run_wrote_however_it_ended_and_stay_when_its_files_go(orchestration: Orchestration, exit_code: int) -> None:
    run = _run(orchestration, text='{"auc": 0.93, "rows": 12, "loss": -1e-3}', exit=exit_code)
    assert run.metrics() == {"auc": 0.93, "rows": 12, "loss": -0.001}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[1]", "it is no object"),
        ('{"auc": NaN}', "'auc' is no finite number"),
        ('{"auc": 1e999}', "'auc' is no finite number"),
        pytest.param(f'{{"auc": 1{"0" * 400}}}', "'auc' is no finite number", id="too large"),
        ('{"auc": true}', "'auc' is no finite number"),
        ('{"auc": "0.9"}', "'auc' is no finite number"),
        ('{"": 1}', "'' is no name"),
        ('{"a\\u001b": 1}', "is no name of 1 to 100 printable characters"),
        pytest.param("[" * 60_000, "recursion", id="nested"),
        pytest.param(f'{{"auc": 1{" " * 65_536}}}', "it has more than 64 KiB", id="too long"),
    ],
)
def test_are_ignored_with_a_warning_if_they_are_something_else(
    orchestration: Orchestration, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    with caplog.at_level(logging.WARNING, "orchlite"):
        run = _run(orchestration, text=text)
    assert (run.status(), run.metrics()) == ("success", {})
    assert any(problem in record.getMessage() and run.id() in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_are_read_from_regular_files_only(orchestration: Orchestration, kind: str) -> None:
    assert _run(orchestration, text='{"auc": 1}', **{"as": kind}).metrics() == {}


def test_of_the_bundle_are_not_the_runs(client: Client, folder: MakeFolder) -> None:
    assert client.run(folder({"main.py": "", "metrics.json": '{"auc": 1}'})).metrics() == {}


def test_are_empty_without_a_file_and_unknown_without_the_run(client: Client, folder: MakeFolder) -> None:
    run = client.run(folder("print('no metrics')"))
    assert run.metrics() == {}
    client.get_orchestration_by_id(client.get_task_by_id(run.task()).orchestration()).delete()
    again = TaskRun(run._engine, run.id(), run.task())
    with pytest.raises(NotFound):
        again.metrics()


@pytest.mark.slow
def test_go_with_their_run(client: Client, folder: MakeFolder) -> None:
    run = client.run(folder("open('metrics.json', 'w').write('{\"auc\": 1}')"))
    assert run.metrics() == {"auc": 1}
    client.get_orchestration_by_id(client.get_task_by_id(run.task()).orchestration()).delete()
    assert run._engine.store.run_metrics.get(run.id()) == {}
