"""What becomes of a run whose job has ended without a result line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchlite.ray.jobs_api import JobInfo
from orchlite.ray.outcomes import outcome
from orchlite.runs.spec import Ended, Lost
from tests.ray.fake_head import NODE

_AT = datetime(2026, 11, 26, 16, tzinfo=UTC)
_START = 1790000000000000000


def _info(status: str, error_type: str | None = None, node_id: str | None = NODE) -> JobInfo:
    return JobInfo(status, "what Ray says", error_type, node_id, _AT)


def test_of_a_long_message_the_first_and_the_last_line_are_the_reason() -> None:
    message = "Job supervisor actor died: The actor died.\n\tactor_id: 1\nThe actor is dead because its node has died."
    lost = outcome(2, _info("FAILED", "JOB_SUPERVISOR_ACTOR_DIED")._replace(message=message), None, None, None)
    assert isinstance(lost, Lost)
    assert str(lost.reason).endswith(": Job supervisor actor died: The actor died. The actor is dead because its node has died.")


def _ended(found: object) -> tuple[str, bool, str | None]:
    assert isinstance(found, Ended)
    assert (found.attempt, found.result.exit_code, found.result.ended_at) == (2, None, _AT)
    return found.result.status, found.result.started_at is not None, found.result.reason


@pytest.mark.parametrize(("start", "has_started"), [(_START, True), (None, False)])
def test_a_stopped_job_was_killed(start: int | None, has_started: bool) -> None:
    assert _ended(outcome(2, _info("STOPPED"), start, None, "enough")) == ("killed", has_started, "enough")
    assert _ended(outcome(2, _info("STOPPED"), start, None, None)) == ("killed", has_started, "it was stopped on the cluster")


@pytest.mark.parametrize(
    "error",
    [
        "RUNTIME_ENV_SETUP_FAILURE",
        "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
        "JOB_SUPERVISOR_ACTOR_START_FAILURE",
        "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
    ],
)
def test_a_job_that_reached_no_node_is_a_failure_and_was_not_started(error: str) -> None:
    found = outcome(2, _info("FAILED", error, None), None, "", None)
    assert _ended(found) == ("failure", False, "Ray did not start it: what Ray says")


@pytest.mark.parametrize(
    "error", ["JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", "JOB_SUPERVISOR_ACTOR_START_FAILURE", None]
)
@pytest.mark.parametrize("words", ["", None])
def test_a_job_that_ray_lost_on_a_node_is_unknown_with_its_reason(error: str | None, words: str | None) -> None:
    assert outcome(2, _info("FAILED", error), None, words, None) == Lost(2, "Ray has lost it, so its outcome is not known: what Ray says")


def test_a_node_program_that_failed_before_it_started_anything_is_a_failure_with_its_last_words() -> None:
    info = _info("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR")
    assert _ended(outcome(2, info, None, "python: not found", None)) == ("failure", False, "the node did not start it: python: not found")
    assert _ended(outcome(2, info, None, "", None)) == ("failure", False, "the node did not start it: what Ray says")


def test_a_job_that_found_an_empty_package_was_killed() -> None:
    info = _info("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR")
    assert _ended(outcome(2, info, None, "There is no job.json in this folder.", "enough")) == ("killed", False, "enough")


@pytest.mark.parametrize(("start", "words"), [(_START, "Killed"), (None, None)])
def test_a_node_program_that_may_have_started_the_program_leaves_it_unknown(start: int | None, words: str | None) -> None:
    assert isinstance(outcome(2, _info("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR"), start, words, None), Lost)


def test_a_job_that_succeeded_without_a_result_is_unknown() -> None:
    found = outcome(2, _info("SUCCEEDED"), _START, "", None)
    assert isinstance(found, Lost)
    assert "its result cannot be read" in str(found.reason)
