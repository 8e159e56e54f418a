"""The real, unmodified SDK of the platform lives a whole life against this server; only the address is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import rest
from tests.acceptance.sdk.conftest import Run, printed
from tests.acceptance.sdk.real_sdk import SDK_2023, SDK_2026, InstallStep

pytestmark = pytest.mark.slow


_CONNECTIONS = {
    "made": ["warehouse", "postgres", True, []],
    "found": [True, True],
    "of the workspace": ["warehouse"],
    "shared": [True],
    "shown": [["warehouse", "postgres", "*****"]],
    "alone": ["warehouse", "postgres", "*****"],
    "again": "Exception: This connection already exists.  Please choose a different connection name.",
    "unknown": "Exception: Failed to get connection",
    "of the workspace, removed": [],
    "deleted": ["(no connections)", "Exception: Failed to get connection"],
}

_LOG = [
    "stderr F grüße  with  gaps",
    "stdout F in a task: True",
    'stdout F {"deep": {"list": [1, null, "ü"]}, "name": "Ada", "ratio": 0.5}',
    "stdout F ",
]

_RUN = {
    "run": "success",
    "log": _LOG,
    "its newest line": 1,
    "log as it is shown": sorted(line.removeprefix("stdout F").removeprefix("stderr F").strip() for line in _LOG),
    "arguments": True,
    "task": ["greet", "started", False],
    "task as it is shown": ["greet", "success", "Temporary Run", "True", "-"],
    "runs as they are shown": [["success"]],
    "run as it is shown": ["success"],
}

_USERS = {
    "owner": ["orchlite", True],
    "of the workspace": [True],
    "made an owner": True,
    "added": "Exception: User orchlite@localhost, already exists in workspace lab",
    "a stranger": "EntityNotFoundError: User not found: {'email': 'stranger@example.com'}",
}

_SCHEDULE = {"run": "success", "arguments": True, "task": "started", "shown": ["minutely", "Scheduled Run", "True", "* * * * *"]}

_UPLOADS = {
    "greeting": ["greeting", "greeting.zip", "ready"],
    "nameless": [None, "_", "ready"],
    "sha is that of the bytes": True,
    "in the current workspace": True,
    "created before updated": True,
    "without anything": "OrchestrationMissingFile: Orchestration Upload requires either bytes or path to an Orchestration file.",
}

_REFUSED_RUN = "OrchestrationDeployOneshotFailed: Orchestration deploy failed: "

_BAD_ENDS = {
    "failed": ["failure", "started", "stderr F ValueError: no such warehouse"],
    "its failures": 1,
    "its successes": 0,
    "of all one": 1,
    "a status that is none": "ValueError",
}

_TASKS = [
    ["failing", "Temporary Run", "True", "-"],
    ["greet", "Temporary Run", "True", "-"],
    ["minutely", "Scheduled Run", "False", "* * * * *"],
    ["sleeper", "Temporary Run", "False", "-"],
    ["slow", "Temporary Run", "True", "-"],
]


def _are_refused_with_the_reason(bad_ends: dict[str, Any]) -> bool:
    """The SDK shows the reasons as they are; these two are no ends of a run."""
    facts = [bad_ends.pop(name) for name in ("a bad timeout", "a bad schedule")]
    reasons = ["timeout is -1.", "The minute '99' is out of range."]
    return all(text.startswith(_REFUSED_RUN) and reason in text for text, reason in zip(facts, reasons, strict=True))


def test_a_life_with_the_sdk_of_2026(server: rest.Server, run: Run, tmp_path: Path) -> None:
    facts = printed(run(SDK_2026, "-m", "life_2026", str(tmp_path), variables=server.environment()))
    uploads, bad_ends, lists = (facts.pop(name) for name in ("uploads", "bad ends", "lists"))
    assert "The bundle has no main.py." in uploads.pop("without main.py")
    assert "The bundle is not a ZIP." in uploads.pop("no zip")
    assert uploads == _UPLOADS
    assert _are_refused_with_the_reason(bad_ends)
    assert bad_ends == {**_BAD_ENDS, "timed out": ["timed_out", "timed_out", ["stdout F asleep"]]}
    assert lists == {
        "orchestrations": [["None", "ready", "_"], ["greeting", "ready", "greeting.zip"], ["service", "ready", "service.zip"]],
        "orchestration": ["greeting", "greeting.zip", "ready"],
        "tasks": sorted([*_TASKS, ["service", "Continuous Run", "False", "-"], ["yearly", "Scheduled Run", "False", "0 0 1 1 *"]]),
        "the last that changed is first": "minutely",
        "of the orchestration": [["failing"], ["greet"], ["slow"]],
        "workspaces": ["default", "lab", "annex"],
    }
    assert facts == {
        "version": "2026.1.3",
        "workspaces": {
            "another than the default": True,
            "current": "lab",
            "found": ["lab", False, 1, [], []],
            "made when missing": "annex",
            "missing": "Exception: Error: Workspace with name nowhere does not exist",
            "there already": "Exception: Failed to create workspace.",
        },
        "users": _USERS,
        "run": _RUN,
        "kill": {
            "answer": "pending_kill",
            "run": "killed",
            "task": ["killed", True],
            "listed": [False, True],
            "shown": ["sleeper", "killed", "False"],
        },
        "connections": _CONNECTIONS,
        "pause": {"paused": "paused", "resumed": "started", "killed": ["pending_kill", "killed"]},
        "service": {
            "run": "running",
            "log": ["stdout F serving"],
            "shown": ["service", "Continuous Run", "True"],
            "killed": "killed",
        },
        "away": {"content": True, "freed": True, "names": []},
        "schedule": _SCHEDULE,
    }


def test_a_life_with_the_sdk_of_2023_which_knows_fewer_words(server: rest.Server, run: Run, tmp_path: Path) -> None:
    facts = printed(run(SDK_2023, "-m", "life_2023", str(tmp_path), variables=server.environment()))
    uploads, bad_ends, lists = (facts.pop(name) for name in ("uploads", "bad ends", "lists"))
    unexplained = "OrchestrationUploadFailed: Orchestration upload failed: Internal service error"
    assert uploads == {**_UPLOADS, "without main.py": unexplained, "no zip": unexplained}
    assert _are_refused_with_the_reason(bad_ends)
    assert bad_ends == {**_BAD_ENDS, "timed out": ["failure", "failed", ["stdout F asleep"]]}
    assert lists == {
        "orchestrations": [["None", "ready", "_"], ["greeting", "ready", "greeting.zip"]],
        "orchestration": ["greeting", "greeting.zip", "ready"],
        "tasks": _TASKS,
        "the last that changed is first": "minutely",
        "of the orchestration": [["failing"], ["greet"], ["minutely"], ["sleeper"], ["slow"]],
        "workspaces": ["default", "lab"],
    }
    assert facts == {
        "version": "2023.2.1",
        "workspaces": {
            "another than the default": True,
            "current": "lab",
            "found": ["lab", False, 1, [], []],
            "there already": "Exception: Failed to create workspace.",
        },
        "users": _USERS,
        "run": _RUN,
        "kill": {
            "answer": "pending_kill",
            "run": "failure",
            "task": ["pending_kill", True],
            "listed": [False, True],
            "shown": ["sleeper", "failure", "False"],
        },
        "connections": _CONNECTIONS,
        "schedule": _SCHEDULE,
    }


@pytest.mark.parametrize("sdk", [pytest.param(SDK_2026, id="2026"), pytest.param(SDK_2023, id="2023")])
def test_a_name_and_a_password_let_the_sdk_in(sdk: tuple[InstallStep, ...], client: orchlite.Client, run: Run, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.json"
    accounts.touch(0o600)
    accounts.write_text('[{"username": "jane", "password": "hunter2", "email": "jane@example.com"}]')
    with rest.serve(client, port=0, accounts=accounts) as server:
        where = {name: value for name, value in server.environment().items() if name.endswith("_URL")}
        name = {**where, "WALLAROO_USER": "jane"}
        refused = run(sdk, "-m", "login", "user_password", variables={**name, "WALLAROO_PASSWORD": "hunter1"})
        facts = printed(run(sdk, "-m", "login", "user_password", variables={**name, "WALLAROO_PASSWORD": "hunter2"}))
    assert refused.returncode != 0
    assert "TokenFetchError" in refused.stderr
    assert facts == {"email": "jane@example.com", "current": "default", "users": ["['orchlite@localhost']"], "tasks": "(no tasks)"}
