"""The ZIPs that a node receives, and the document in one of them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchlite
from orchlite.runs import job_document, job_output, job_packages
from orchlite.runs.job_output import NodeLine

MakeJob = Callable[..., Any]


class TestCode:
    """The ZIP of orchlite's code."""

    def test_is_equal_whenever_and_wherever_it_is_made(self, tmp_path: Path) -> None:
        copy = tmp_path / "elsewhere"
        with ZipFile(io.BytesIO(job_packages.code())) as archive:
            archive.extractall(copy)
        program = "import sys; from orchlite.runs import job_packages; sys.stdout.buffer.write(job_packages.code())"
        env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONHASHSEED": "7"}

        made = subprocess.run([sys.executable, "-c", program], cwd=copy, env=env, check=True, stdout=subprocess.PIPE).stdout

        assert made == job_packages.code()

    def test_is_small(self) -> None:
        assert len(job_packages.code()) < 1024 * 1024

    def test_lacks_what_talks_to_people_and_clusters(self) -> None:
        with ZipFile(io.BytesIO(job_packages.code())) as archive:
            packages = {name.split("/")[1] for name in archive.namelist()}

        assert packages >= {"__init__.py", "core", "node", "runs", "store"}
        assert packages.isdisjoint({"cli", "ray", "rest", "testing", "web", "manual", "pytest_plugin.py", "__pycache__"})


def test_a_bundle_travels_unchanged_in_a_zip_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"the bytes of a bundle")

    made = job_packages.bundle(tmp_path / "bundle.zip", "0" * 64)

    assert made == job_packages.bundle(tmp_path / "bundle.zip", "0" * 64)
    with ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("0" * 64 + ".zip") == b"the bytes of a bundle"
        assert archive.infolist()[0].compress_type == ZIP_STORED


class TestDocument:
    """The rows of one run as JSON."""

    def test_becomes_the_same_rows_again(self, job: MakeJob) -> None:
        content = job("", '{"n": 1}', timeout_seconds=1.5, env={"A": "ä"}).document

        document = job_document.decoded(content)

        assert document.task.arguments == '{"n": 1}'
        assert (document.task.timeout_seconds, document.task.env) == (1.5, {"A": "ä"})
        assert job_document.encoded(document) == content

    def test_has_the_connections_of_the_workspace_only(self, client: orchlite.Client, job: MakeJob) -> None:
        for name in ("listed", "unlisted"):
            client.create_connection(name, "http", {"token": name})
        client.get_current_workspace().add_connection("listed")

        assert [connection.name for connection in job_document.decoded(job("").document).connections] == ["listed"]

    def test_of_another_format_is_refused(self, job: MakeJob) -> None:
        with pytest.raises(ValueError, match="format 7, not 1"):
            job_document.decoded(job("").document.replace(b'"format": 1', b'"format": 7'))

    def test_leaves_what_follows_a_run_to_the_host(self, job: MakeJob) -> None:
        task = job_document.decoded(job("", on_failure=("mail",), env_passthrough=("HOME",)).document).task

        assert (task.on_failure, task.retry, task.schedule, task.env_passthrough) == (None, None, None, ())
        assert task.env == {"HOME": os.environ["HOME"]}


class TestLines:
    """What a node program writes."""

    @pytest.mark.parametrize(
        "line", ["Traceback (most recent call last)", "orchlite:log ", 'orchlite:log 1 "cut o', "orchlite:result 1 3", ""]
    )
    def test_of_anything_else_are_nothing(self, line: str) -> None:
        assert job_output.parsed(line) is None

    @given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), st.integers(0, 10**12))
    def test_have_no_control_characters_whatever_a_program_writes(self, text: str, number: int) -> None:
        line = job_output.of_record(number, text.encode())

        assert all(0x20 <= byte < 0x7F for byte in line[:-1])
        assert job_output.parsed(line.decode("ascii")[:-1]) == NodeLine(number, record=text)

    def test_are_read_as_they_were_written(self) -> None:
        record = "2024-04-17T16:03:19.756251122Z stdout F a\r\N{LINE SEPARATOR}ä"
        lines = [job_output.of_start(1, 7), job_output.of_record(2, record.encode()), job_output.of_result(3, {"status": "ä"})]

        found = [job_output.parsed(line.decode("ascii").rstrip("\n")) for line in lines]

        assert found == [NodeLine(1, started_at_ns=7), NodeLine(2, record=record), NodeLine(3, result={"status": "ä"})]
