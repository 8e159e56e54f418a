"""The node program, run as a cluster runs it: what it reports about a run, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.node.conftest import Node


def test_a_job_runs_with_its_arguments_and_reports_log_start_and_result(node: Node, job: Callable[..., Any]) -> None:
    program = "import wallaroo, sys; print(wallaroo.task_args()['n'] + 1); print('oops', file=sys.stderr)"
    placed = job(program, '{"n": 41}', attempt=3)

    report = node.run(placed)

    assert report.stderr == ""
    assert report.exit_code == 0
    assert report.has_started()
    assert sorted(record.split(" ", 1)[1] for record in report.records) == ["stderr F oops", "stdout F 42"]
    assert report.result["status"] == "success"
    assert (report.result["run_id"], report.result["attempt"], report.result["exit_code"]) == (placed.run_id, 3, 0)
    assert list(node.temporary.iterdir()) == []
