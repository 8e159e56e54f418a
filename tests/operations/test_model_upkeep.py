"""Models, pipelines and inference logs in backups, checks and prunes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchlite import Client, Limits, ModelVersion, Pipeline, Retention, StoreDamaged
from orchlite.core.model_records import InferenceLogRow
from orchlite.operations import garbage

_ONNX = b"\x08\x09\x3a\x05graph"
_LOGS = Retention(None, 0, None, None, timedelta(days=30))
"""Inference logs only; without environments, which all tests share."""
OpenClient = Callable[..., Client]


@pytest.fixture
def model(client: Client, tmp_path: Path) -> ModelVersion:
    (tmp_path / "model.onnx").write_bytes(_ONNX)
    return client.upload_model("ccfraud", tmp_path / "model.onnx")


@pytest.fixture
def pipeline(client: Client, model: ModelVersion) -> Pipeline:
    """A deployed pipeline with five logs of two records, each a day older than the one before."""
    pipeline = client.build_pipeline("fraud").add_model_step(model).deploy()
    for days in range(5):
        _log(client, pipeline, days)
    return pipeline


def _log(client: Client, pipeline: Pipeline, days: float) -> None:
    row = InferenceLogRow(0, pipeline.id(), datetime.now(UTC) - timedelta(days=days), 2, 4, "columns", b"data")
    logs = client._engine.store.inference_logs
    with logs.transaction() as transaction:
        logs.insert(transaction, row, row_limit=1000, size_limit_bytes=1000)


def _count(client: Client, pipeline: Pipeline) -> int:
    return len(client._engine.store.inference_logs.read(pipeline.id(), 1000, size_limit_bytes=1000).logs)


def _change(client: Client, sql: str) -> None:
    with closing(sqlite3.connect(client.path() / "store.sqlite", isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount > 0


def _findings(client: Client) -> list[tuple[str, str]]:
    return [(finding.kind, finding.what) for finding in client.check()]


class TestABackup:
    def test_holds_models_with_their_files_pipelines_and_logs(
        self, client: Client, model: ModelVersion, pipeline: Pipeline, tmp_path: Path
    ) -> None:
        client.backup(tmp_path / "backup")
        Client.restore(tmp_path / "backup", tmp_path / "restored")
        with Client(tmp_path / "restored") as restored:
            found = restored.get_pipeline("fraud")
            assert (found.steps(), found.status()) == (pipeline.steps(), pipeline.status())
            assert restored._engine.context.model_files.path(model.sha()).read_bytes() == _ONNX
            assert _count(restored, found) == 5
            assert restored.check() == []

    def test_leaves_out_a_model_that_was_deleted_meanwhile(self, client: Client, model: ModelVersion, tmp_path: Path) -> None:
        context = client._engine.context
        copy_to = context.store.copy_to

        class Store(type(context.store)):  # type: ignore[misc]
            """A store from which another client deletes the model right after the rows were copied."""

            def copy_to(self, path: Path) -> None:
                copy_to(path)
                client.list_models()[0].delete()

        context.store.__class__ = Store
        client.backup(tmp_path / "backup")
        Client.restore(tmp_path / "backup", tmp_path / "restored")
        with Client(tmp_path / "restored") as restored:
            assert restored.list_models() == []
            assert restored.check() == []

    @pytest.mark.parametrize("sql", ["UPDATE model_versions SET sha = '../../x'", "UPDATE model_versions SET sha = upper(sha)"])
    def test_with_a_hash_that_leads_elsewhere_is_refused(self, client: Client, model: ModelVersion, tmp_path: Path, sql: str) -> None:
        client.backup(tmp_path / "backup")
        with closing(sqlite3.connect(tmp_path / "backup" / "store.sqlite", isolation_level=None)) as connection:
            connection.execute(sql)
        with pytest.raises(StoreDamaged, match="a model's SHA-256 is"):
            Client.restore(tmp_path / "backup", tmp_path / "restored")

    def test_with_a_link_as_a_model_is_refused(self, client: Client, model: ModelVersion, tmp_path: Path) -> None:
        client.backup(tmp_path / "backup")
        (tmp_path / "backup" / "models" / model.sha()).unlink()
        (tmp_path / "backup" / "models" / model.sha()).symlink_to("/etc/passwd")
        with pytest.raises(StoreDamaged, match="is a symbolic link"):
            Client.restore(tmp_path / "backup", tmp_path / "restored")

    def test_of_a_version_without_models_is_restored(self, client: Client, tmp_path: Path) -> None:
        client.backup(tmp_path / "backup")
        (tmp_path / "backup" / "models").rmdir()
        Client.restore(tmp_path / "backup", tmp_path / "restored")
        with Client(tmp_path / "restored") as restored:
            assert restored.list_models() == []


class TestACheck:
    def test_finds_nothing_where_all_is_well(self, client: Client, pipeline: Pipeline) -> None:
        assert _findings(client) == []
        pipeline.undeploy()
        client.list_models()[0].delete()
        assert _findings(client) == []

    @pytest.mark.parametrize(
        ("damage", "what"),
        [
            (lambda path: path.unlink(), "It cannot be read: No such file or directory."),
            (lambda path: os.truncate(path, 3), "It has 3 bytes instead of 9."),
            (lambda path: path.write_bytes(b"x" * 9), "Its bytes have changed: their SHA-256 differs from the one in its name."),
        ],
    )
    def test_finds_a_damaged_file(self, client: Client, model: ModelVersion, damage: Callable[[Path], object], what: str) -> None:
        damage(client.path() / "models" / model.sha())
        [finding] = client.check()
        assert (finding.kind, finding.what) == ("model", what)
        assert finding.hint.startswith("Upload the same bytes again")

    def test_finds_sums_that_are_wrong(self, client: Client, pipeline: Pipeline) -> None:
        _change(client, "UPDATE pipelines SET log_rows = 1")
        assert _findings(client) == [("row", "The pipeline's count of logged records or bytes is wrong.")]

    def test_finds_a_deployed_pipeline_whose_model_is_gone(self, client: Client, model: ModelVersion, pipeline: Pipeline) -> None:
        _change(client, "DELETE FROM model_versions")
        (client.path() / "models" / model.sha()).unlink()
        assert _findings(client) == [
            ("row", f"The pipeline 'fraud' is deployed with version {model.version()} of a model, which does not exist.")
        ]

    def test_finds_a_file_that_no_model_refers_to(self, client: Client) -> None:
        orphan = client.path() / "models" / ("a" * 64)
        orphan.write_text("left")
        os.utime(orphan, (time.time() - 7200,) * 2)
        assert _findings(client) == [("leftover", "This model belongs to nothing.")]


class TestAPrune:
    def test_removes_logs_that_are_too_old(self, client: Client, pipeline: Pipeline) -> None:
        terms = _LOGS._replace(inference_logs_older_than=timedelta(days=2.5))
        with Client(client.path(), retention=terms) as pruning:
            assert pruning.prune(dry_run=True).inference_logs == 2
            assert str(pruning.prune()) == "removed 2 inference logs: 0.0 MiB"
            assert pruning.prune().inference_logs == 0
        assert _count(client, pipeline) == 3
        assert client.check() == []

    def test_removes_logs_beyond_limits_that_were_lowered(self, client: Client, pipeline: Pipeline) -> None:
        with Client(client.path(), retention=_LOGS, limits=Limits(inference_log_rows=5, inference_log_bytes=1000)) as pruning:
            assert pruning.prune(dry_run=True).inference_logs == 3
            assert pruning.prune().inference_logs == 3
        assert _count(client, pipeline) == 2

    def test_keeps_logs_for_ever_if_it_is_told_so(self, client: Client, pipeline: Pipeline) -> None:
        _log(client, pipeline, days=10_000)
        with Client(client.path(), retention=_LOGS._replace(inference_logs_older_than=None)) as pruning:
            assert pruning.prune().inference_logs == 0
        assert _count(client, pipeline) == 6

    def test_keeps_the_files_of_models_at_any_age(self, client: Client, model: ModelVersion) -> None:
        file = client.path() / "models" / model.sha()
        os.utime(file, (0, 0))
        with Client(client.path(), retention=_LOGS) as pruning:
            assert pruning.prune().models == 0
        assert garbage.remove(client._engine.context, garbage.Orphan("model", file)) is None
        assert file.exists()
