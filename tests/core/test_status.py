"""The one table of legal moves: what it allows, and what it must never allow."""

from __future__ import annotations

import pytest

from orchlite.core.status import LEGAL_TRANSITIONS, OrchestrationStatus, RunStatus, Status, TaskStatus, sources_of, targets_of

_ALL: list[Status] = [*OrchestrationStatus, *TaskStatus, *RunStatus]
_KINDS = (OrchestrationStatus, TaskStatus, RunStatus)


def test_the_table_knows_every_status() -> None:
    assert [status for transitions in LEGAL_TRANSITIONS.values() for status in transitions] == _ALL


@pytest.mark.parametrize("status", [pytest.param(status, id=f"{type(status).__name__}-{status}") for status in _ALL])
class TestEveryStatus:
    def test_leads_to_its_own_kind_only(self, status: Status) -> None:
        assert {type(target) for target in targets_of(status)} <= {type(status)}

    def test_never_leads_to_itself(self, status: Status) -> None:
        assert status not in targets_of(status)

    def test_is_a_text(self, status: Status) -> None:
        assert status == str(status) == status.value

    def test_is_named_as_a_source_by_its_targets(self, status: Status) -> None:
        assert all(status in sources_of(target) for target in targets_of(status))


@pytest.mark.parametrize("kind", _KINDS)
def test_equal_texts_of_different_kinds_are_told_apart(kind: type[Status]) -> None:
    assert {type(source) for target in kind for source in sources_of(target)} == {kind}


def test_a_run_ends_once() -> None:
    ends = {RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.TIMED_OUT, RunStatus.KILLED, RunStatus.UNKNOWN, RunStatus.SKIPPED}
    assert {status for status in RunStatus if status.is_final} == ends
    assert not any(targets_of(end) for end in ends)


def test_a_run_that_was_never_claimed_cannot_have_run() -> None:
    assert targets_of(RunStatus.QUEUED) == {RunStatus.RUNNING, RunStatus.KILLED, RunStatus.SKIPPED, RunStatus.FAILURE}


def test_any_task_that_is_not_killed_can_be() -> None:
    assert sources_of(TaskStatus.KILLED) == frozenset(TaskStatus) - {TaskStatus.KILLED}


def test_nothing_leaves_ready_and_error() -> None:
    assert not targets_of(OrchestrationStatus.READY) | targets_of(OrchestrationStatus.ERROR)


def test_pause_and_resume_go_through_their_requests() -> None:
    assert sources_of(TaskStatus.PAUSED) == {TaskStatus.PENDING_PAUSE}
    assert targets_of(TaskStatus.PAUSED) >= {TaskStatus.PENDING_RESUME}
    assert TaskStatus.STARTED not in targets_of(TaskStatus.PAUSED)
