"""The node program, run as a cluster runs it: what it reports about a run, and what it leaves."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite.core.records import Packages
from orchlite.core.status import RunStatus
from orchlite.runs import observation
from orchlite.runs.spec import Ended
from tests.interpreters import each_interpreter, version_of
from tests.node.conftest import Node, make_node_python

MakeJob = Callable[..., Any]


def test_a_job_runs_with_its_arguments_and_reports_log_start_and_result(node: Node, job: MakeJob) -> None:
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


def test_the_result_is_an_observation_of_the_host(node: Node, job: MakeJob) -> None:
    before = datetime.now(UTC)

    observed = observation.of_result(node.run(job("open('metrics.json', 'w').write('{\"rows\": 3}')", attempt=2)).result)

    assert isinstance(observed, Ended)
    assert observed.attempt == 2
    assert observed.metrics == {"rows": 3}
    assert isinstance(observed.packages, Packages)
    of_node = {package.partition("==")[0] for package in observed.packages.host}
    assert ("virtualenv" in of_node, "pytest" in of_node) == (True, False)
    assert observed.result.started_at is not None
    assert before <= observed.result.started_at <= observed.result.ended_at <= datetime.now(UTC)
    assert observed.result.packages_sha


def test_the_program_sees_ids_and_variables_as_at_home(node: Node, job: MakeJob) -> None:
    names = ["WALLAROO_TASK_ID", "ORCH_ID", "ORCH_SHA", "TASK_DEBUG", "SECRET", "ORCHLITE_RUN_TOKEN"]
    program = f"import os; print(*(os.environ[name] for name in {names}))"
    placed = job(program, env={"SECRET": "s3"}, debug=True)
    document = json.loads(placed.document)

    assert node.run(placed).texts == [
        " ".join(
            [
                document["task"]["task_id"],
                document["orchestration"]["orchestration_id"],
                placed.sha,
                "true",
                "s3",
                placed.run_id,
            ]
        )
    ]


def test_variables_that_the_host_passes_on_have_the_values_of_the_host(node: Node, job: MakeJob, monkeypatch: Any) -> None:
    monkeypatch.setenv("FROM_HOST", "host")
    node.env |= {"FROM_HOST": "node", "ONLY_HERE": "node"}
    program = "import os; print(os.environ.get('FROM_HOST'), os.environ.get('ONLY_HERE'))"

    assert node.run(job(program, env_passthrough=("FROM_HOST", "ONLY_HERE"))).texts == ["host None"]


def test_the_program_sees_the_devices_and_threads_that_the_cluster_grants(node: Node, job: MakeJob) -> None:
    node.env |= {"CUDA_VISIBLE_DEVICES": "1", "NEURON_RT_VISIBLE_CORES": "0-3", "OMP_NUM_THREADS": "2", "RAY_JOB_ID": "7"}
    names = ["CUDA_VISIBLE_DEVICES", "NEURON_RT_VISIBLE_CORES", "OMP_NUM_THREADS", "RAY_JOB_ID"]

    report = node.run(job(f"import os; print(*map(os.environ.get, {names}))", env={"OMP_NUM_THREADS": "8"}))

    assert report.texts == ["1 0-3 8 None"]


def test_without_a_job_the_program_says_what_it_is_for(node: Node, tmp_path: Path) -> None:
    report = node.finish(node.start(tmp_path))

    assert report.lines == []
    assert report.stderr.startswith("There is no job.json in this folder.")


@pytest.mark.parametrize("interpreter", each_interpreter())
def test_a_node_may_have_another_python(node: Node, job: MakeJob, interpreter: str, tmp_path: Path) -> None:
    node.env["PATH"] = f"{make_node_python(interpreter, tmp_path / 'python').parent}:/usr/bin:/bin"

    report = node.run(job("import sys, wallaroo; print(sys.version_info[1], wallaroo.task_args())"))

    assert report.texts == [f"{version_of(interpreter).partition('.')[2]} {{}}"]
    assert report.result["packages"]["python"].startswith(version_of(interpreter))


def test_lines_are_reported_before_the_end(node: Node, job: MakeJob, waiting_program: str, gate: Path) -> None:
    process = node.start(node.receive(job(waiting_program)))
    assert process.stdout is not None

    first = [process.stdout.readline().decode(), process.stdout.readline().decode()]
    gate.touch()

    assert first[0].startswith("orchlite:started ")
    assert first[1].startswith("orchlite:log ")
    assert "begun" in first[1]
    assert node.finish(process).texts == ["done"]


def test_an_exit_code_is_the_runs(node: Node, job: MakeJob) -> None:
    report = node.run(job("import sys; sys.exit(3)"))

    assert (report.result["status"], report.result["exit_code"]) == ("failure", 3)
    assert report.exit_code == 1


def test_the_time_limit_is_kept_on_the_node(node: Node, job: MakeJob) -> None:
    report = node.run(job("import time; print('begun', flush=True); time.sleep(60)", timeout_seconds=1))

    assert report.texts == ["begun"]
    assert report.result["status"] == "timed_out"
    assert report.result["reason"] == "it ran for longer than its timeout of 1 s"


def test_the_memory_limit_is_kept_on_the_node(node: Node, job: MakeJob) -> None:
    limit = orchlite.core.records.ResourceLimits(memory_bytes=300 * 1024**2)

    report = node.run(job("x = bytearray(1024 ** 3)", resources=limit))

    assert report.result["status"] == "failure"
    assert "300 MiB" in report.result["reason"]


class TestOutput:
    """What a program writes arrives as it would be in a log at home."""

    @pytest.mark.slow
    def test_two_megabytes(self, node: Node, job: MakeJob) -> None:
        report = node.run(job("for number in range(20_000): print(f'{number:0>100}')"))

        assert report.text == "".join(f"{number:0>100}\n" for number in range(20_000))
        assert report.result["log_complete"]

    def test_text_of_any_kind_in_lines_of_ascii(self, node: Node, job: MakeJob) -> None:
        text = "\n\n\N{ROCKET} Grüße \N{LINE SEPARATOR}\x0b\x85\x1b[1m\n\nno newline"

        report = node.run(job(f"import sys; sys.stdout.buffer.write(b'a\\xffb' + {text!r}.encode())"))

        assert report.text == "a\N{REPLACEMENT CHARACTER}b" + text
        assert [record.split(" ", 3)[2] for record in report.records] == ["F", "F", "F", "F", "P"]
        assert all(re.fullmatch(r"[\x20-\x7e]*", line) for line in report.lines)

    def test_a_progress_bar_that_is_redrawn(self, node: Node, job: MakeJob) -> None:
        report = node.run(job("for part in range(5): print(f'{part}0 %', end='\\r', flush=True)\nprint()"))

        assert "".join(report.texts) == "00 %\r10 %\r20 %\r30 %\r40 %\r"

    def test_a_program_that_imitates_the_node_program_writes_a_line_of_its_log(self, node: Node, job: MakeJob) -> None:
        forged = 'orchlite:result 2 {"status": "success"}'

        report = node.run(job(f"print({forged!r}); exit(3)"))

        assert report.texts == [forged]
        assert report.result["exit_code"] == 3

    def test_more_than_the_limit_keeps_beginning_and_end(self, node: Node, job: MakeJob) -> None:
        placed = job("for number in range(20_000): print(f'{number:0>100}')")
        document = json.loads(placed.document)
        document["settings"]["log_bytes"] = 1024 * 1024

        report = node.run(placed._replace(document=json.dumps(document).encode()))

        assert report.texts[0] == "0" * 100
        assert report.texts[-1] == f"{19_999:0>100}"


class TestEnvironments:
    """They stay in the node's cache."""

    @pytest.mark.slow
    def test_have_the_versions_that_were_packaged_and_are_found_by_the_second_run(
        self, node: Node, job: MakeJob, tmp_path: Path, package_index: tuple[str, str], with_index: Callable[..., Any]
    ) -> None:
        node.env["ORCHLITE_CACHE"] = str(tmp_path / "cache-of-node")
        index, requirement = package_index
        name = requirement.partition("==")[0]
        placed = with_index(job, index, {"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": name})
        [wheel] = tmp_path.glob("index/*/*.whl")
        newer = wheel.with_name(wheel.name.replace("-1.0-", "-2.0-"))
        newer.write_bytes(wheel.read_bytes())
        (wheel.parent / "index.html").write_text("".join(f'<a href="{each.name}">{each.name}</a>' for each in (wheel, newer)))

        first = node.run(placed)
        for each in (wheel, newer):
            each.unlink()
        second = node.run(placed)

        assert first.texts == second.texts == ["from the package"]
        assert first.result["packages"]["installed"] == second.result["packages"]["installed"] == [requirement]

    @pytest.mark.slow
    def test_are_built_once_for_two_runs_at_once(
        self, node: Node, job: MakeJob, tmp_path: Path, package_index: tuple[str, str], with_index: Callable[..., Any]
    ) -> None:
        node.env["ORCHLITE_CACHE"] = str(tmp_path / "cache-of-node")
        index, requirement = package_index
        name = requirement.partition("==")[0]
        placed = with_index(job, index, {"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": requirement})

        both = [node.start(node.receive(placed)) for _ in range(2)]

        assert [node.finish(process).texts for process in both] == [["from the package"]] * 2
        assert len(list((tmp_path / "cache-of-node" / "environments").glob("*/*/bin"))) == 1


def test_a_store_that_a_killed_node_program_left_is_removed_by_a_later_one(node: Node, job: MakeJob, waiting_program: str) -> None:
    process = node.start(node.receive(job(waiting_program)))
    assert process.stdout is not None
    process.stdout.readline()
    assert len(list(node.temporary.iterdir())) == 1
    node.kill(process)

    give_up_at = time.monotonic() + 20
    while list(node.temporary.iterdir()) and time.monotonic() < give_up_at:
        assert node.run(job("")).result["status"] == RunStatus.SUCCESS

    assert list(node.temporary.iterdir()) == []
