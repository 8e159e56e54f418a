"""`task_context`: is this process a task run, and with which arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchlite.core.errors import NotInTask, OrchliteError
from orchlite.core.task_context import in_task, task_args


@pytest.fixture(autouse=True)
def outside_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WALLAROO_TASK_ID", raising=False)
    monkeypatch.delenv("ORCHLITE_RUN_FOLDER", raising=False)


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WALLAROO_TASK_ID", "5d4a")
    monkeypatch.setenv("ORCHLITE_RUN_FOLDER", str(tmp_path))
    return tmp_path


def test_a_process_with_the_task_id_in_its_environment_is_a_task_run(run_folder: Path) -> None:
    assert in_task() is True


def test_a_process_without_it_is_none() -> None:
    assert in_task() is False


def test_an_empty_task_id_still_makes_a_task_run_as_with_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLAROO_TASK_ID", "")
    assert in_task() is True


@pytest.mark.parametrize(
    "arguments",
    [{}, {"rows": 3, "deep": {"list": [1.5, None, True]}}, {"naïve ☃": "snø", "quote": '"\\'}],
    ids=["none", "nested", "beyond ASCII"],
)
def test_the_arguments_come_back_as_they_were_written(run_folder: Path, arguments: dict[str, Any]) -> None:
    (run_folder / "arguments.json").write_text(json.dumps(arguments, ensure_ascii=False), encoding="utf-8")
    assert task_args() == arguments


def test_the_arguments_are_found_from_any_current_folder(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_folder / "arguments.json").write_text('{"a": 1}')
    monkeypatch.chdir("/")
    assert task_args() == {"a": 1}


def test_each_call_answers_with_a_dictionary_of_its_own(run_folder: Path) -> None:
    (run_folder / "arguments.json").write_text('{"a": 1}')
    task_args()["a"] = 2
    assert task_args() == {"a": 1}


def test_outside_a_task_the_arguments_are_refused_and_the_way_out_named() -> None:
    with pytest.raises(NotInTask, match=r"not a task run.*python -m orchlite\.sdk"):
        task_args()


@pytest.mark.parametrize("kind", [FileNotFoundError, OrchliteError])
def test_the_refusal_is_caught_as_the_sdks_error_and_as_orchlites(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        task_args()


def test_arguments_lying_about_do_not_make_a_task_run(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_folder / "arguments.json").write_text("{}")
    monkeypatch.delenv("WALLAROO_TASK_ID")
    with pytest.raises(NotInTask):
        task_args()


def test_a_task_run_that_something_else_started_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLAROO_TASK_ID", "5d4a")
    with pytest.raises(NotInTask, match="ORCHLITE_RUN_FOLDER is not"):
        task_args()


def test_arguments_that_were_removed_are_named_by_their_path(run_folder: Path) -> None:
    with pytest.raises(NotInTask) as caught:
        task_args()
    assert repr(str(run_folder / "arguments.json")) in str(caught.value)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
