"""What takes up space: by name of an orchestration, its bundles and its runs."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

from orchlite.client.client import Client, engine_of
from orchlite.client.task_run import log_path_of
from orchlite.operations.disk_use import measure
from orchlite.testing import ManualClock, StubProcess


def _bundle(text: str) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", text)
    return buffer.getvalue()


def test_bundles_and_runs_are_counted_for_the_name_that_has_them(clock: ManualClock) -> None:
    with Client.temporary(clock=clock, process=StubProcess()) as client:
        context = engine_of(client).context
        first, second = _bundle("1"), _bundle("22")
        for bundle in (first, second, first):
            client.upload_orchestration(bundle, name="scoring")
        other = client.upload_orchestration(first, file_name="report.zip").wait()
        log = log_path_of(other.run_once().wait())
        log.parent.mkdir(parents=True)
        log.write_bytes(b"x" * 100_000)
        client.list_orchestrations()[0].wait()

        report, scoring = measure(context, 60).orchestrations
        assert (report.title, report.versions, report.bundle_bytes, report.runs) == ("report.zip", 1, len(first), 2), "its packaging, too"
        assert 100_000 <= report.run_bytes < 120_000
        assert (scoring.title, scoring.versions, scoring.bundle_bytes, scoring.run_bytes) == ("scoring", 3, len(first) + len(second), 0)

        late = measure(context, -1)
        assert late.run_folders > late.measured_runs == 0
        assert late.database_bytes > 0
