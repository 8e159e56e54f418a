"""Uploaded bundles: stored once, listed, downloaded, deleted."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite import BadBundle, BadRequirement, Closed, Conflict, Limits, NotFound, OrchestrationStatus, OrchliteError
from orchlite.environments.environments import Environments
from tests import large_bundles

MakeFolder = Callable[..., Path]


def _zip(*entries: tuple[str, str]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


_HELLO = _zip(("main.py", "print('hello')"))


def _rows(client: orchlite.Client) -> dict[str, int]:
    with closing(sqlite3.connect(client.path() / "store.sqlite")) as connection:
        tables = ("orchestrations", "tasks", "runs", "events")
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def _files(client: orchlite.Client, folder: str) -> list[str]:
    return sorted(path.name for path in (client.path() / folder).iterdir())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO], ids=lambda kind: kind.__name__)
def test_bytes_may_be_any_buffer(client: orchlite.Client, kind: Callable[[bytes], bytes]) -> None:
    orchestration = client.upload_orchestration(bytes_buffer=kind(_HELLO), name="hello")
    assert (orchestration.name(), orchestration.file_name()) == ("hello", "bundle.zip")
    assert orchestration.sha() == hashlib.sha256(_HELLO).hexdigest()


@pytest.mark.parametrize("as_path", [str, Path], ids=["text", "path"])
def test_a_zip_may_be_given_by_its_path(client: orchlite.Client, tmp_path: Path, as_path: Callable[[Path], str]) -> None:
    path = tmp_path / "some bundle.zip"
    path.write_bytes(_HELLO)
    orchestration = client.upload_orchestration(path=as_path(path))
    assert (orchestration.name(), orchestration.file_name(), orchestration.entrypoint()) == (None, "some bundle.zip", "main.py")
    assert orchestration.sha() == hashlib.sha256(_HELLO).hexdigest()


def test_a_folder_is_packed_and_what_was_left_out_is_a_warning(client: orchlite.Client, folder: MakeFolder) -> None:
    path = folder({"main.py": "print('hello')", ".env": "SECRET=1", "data/notes.txt": "x", "data/skip.csv": "y"})
    orchestration = client.upload_orchestration(path=path, exclude=["*.csv"])
    assert orchestration.file_name() == f"{path.name}.zip"
    assert orchestration.warnings() == [
        "left out of the bundle: .env, data/skip.csv; variables of a .env are given with env= or --env-file"
    ]
    with ZipFile(orchestration.download(path.parent / "packed.zip")) as archive:
        assert sorted(archive.namelist()) == ["data/", "data/notes.txt", "main.py"]


def test_a_file_name_may_be_given(client: orchlite.Client) -> None:
    assert client.upload_orchestration(_HELLO, file_name="other.zip").file_name() == "other.zip"


def test_a_file_whose_name_is_not_valid_text_is_accepted(client: orchlite.Client, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n.zip")
    path.write_bytes(_HELLO)
    assert client.upload_orchestration(path=path).file_name() == "__.zip"


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        pytest.param(b"no zip", BadBundle, "ZIP", id="no ZIP"),
        pytest.param(b"", BadBundle, "empty", id="empty"),
        pytest.param(_HELLO[:-30], BadBundle, "ZIP", id="cut off"),
        pytest.param(_zip(("other.py", "")), BadBundle, "main.py", id="no main.py"),
        pytest.param(_zip(("main.py", ""), ("../x", "")), BadBundle, "../x", id="a name that climbs out"),
        pytest.param(_zip(("main.py", "print(")), BadBundle, "main.py", id="a syntax error"),
        pytest.param(_zip(("main.py", ""), ("requirements.txt", "-r other.txt")), BadRequirement, "-r other.txt", id="a requirement"),
        pytest.param(_zip(("main.py", "#" * 5000)), BadBundle, "the limit is 3.9 KiB", id="a limit"),
    ],
)
def test_a_refused_bundle_stores_nothing(
    open_client: Callable[..., orchlite.Client], content: bytes, error: type[OrchliteError], told: str
) -> None:
    client = open_client(limits=Limits(upload_bytes=4000))
    before = _rows(client)
    with pytest.raises(error, match=told.replace(".", r"\.")) as refusal:
        client.upload_orchestration(content)
    assert refusal.value.hint
    assert _rows(client) == before
    assert _files(client, "bundles") == _files(client, "runs") == []
    assert client.list_orchestrations() == []


def test_warnings_are_kept(client: orchlite.Client, open_client: Callable[..., orchlite.Client]) -> None:
    content = _zip(("main.py", "print()"), ("random.py", ""), ("__MACOSX/._main.py", ""))
    orchestration = client.upload_orchestration(content).wait()
    warnings = orchestration.warnings()
    assert any("random.py" in warning and "standard library" in warning for warning in warnings)
    assert any("__MACOSX" in warning for warning in warnings)
    assert open_client().get_orchestration_by_id(orchestration.id()).warnings() == warnings


_WHERE = "import os, sys; print(sys.path[0] == os.path.dirname(os.path.abspath(__file__)), os.listdir()); import near"


@pytest.mark.parametrize("place", ["", "deep/inside/"], ids=["at the root", "in a subfolder"])
def test_the_program_runs_in_the_root_with_its_own_folder_first_on_the_path(
    client: orchlite.Client, folder: MakeFolder, place: str
) -> None:
    path = folder({f"{place}main.py": _WHERE, f"{place}near.py": "print(open('data.txt').read())", "data.txt": "at the root"})
    orchestration = client.upload_orchestration(path=path)
    assert orchestration.entrypoint() == f"{place}main.py"
    run = orchestration.run_once().wait().raise_for_failure()
    first, second = [line.text for line in run.logs()]
    assert first.startswith("True ")
    assert "'data.txt'" in first
    assert second == "at the root"


def test_the_same_bytes_twice_are_two_orchestrations_of_one_file(client: orchlite.Client) -> None:
    first, second = (client.upload_orchestration(_HELLO, name=name) for name in ("first", "second"))
    assert first.id() != second.id()
    assert first.sha() == second.sha()
    assert _files(client, "bundles") == [f"{first.sha()}.zip"]
    assert [orchestration.name() for orchestration in client.list_orchestrations()] == ["first", "second"]


def test_a_list_looks_like_a_table_and_shows_no_html_of_others(client: orchlite.Client) -> None:
    client.upload_orchestration(_HELLO, name="<b>bold</b>")
    shown = client.list_orchestrations()._repr_html_()
    assert "<th>sha</th>" in shown
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown


class TestDownloading:
    def test_gives_the_uploaded_bytes(self, client: orchlite.Client, tmp_path: Path) -> None:
        path = client.upload_orchestration(_HELLO).download(tmp_path / "copy.zip")
        assert path == tmp_path / "copy.zip"
        assert path.read_bytes() == _HELLO

    @pytest.mark.parametrize(
        ("file_name", "local"),
        [
            ("hello.ZIP", "hello.ZIP"),
            ("../../hello.zip", "hello.zip"),
            ("C:\\hello.zip", "hello.zip"),
            ("/etc/passwd", "passwd.zip"),
            (".bashrc", "bashrc.zip"),
            ("sitecustomize.py", "sitecustomize.py.zip"),
            ("-rf.zip ", "rf.zip"),
            ("é" * 130 + ".zip", "é" * 125 + ".zip"),
            ("..", None),
            ("a/", None),
            ("a/.zip", None),
        ],
    )
    def test_takes_a_harmless_name_in_the_folder(self, client: orchlite.Client, tmp_path: Path, file_name: str, local: str | None) -> None:
        target = tmp_path / "target"
        target.mkdir()
        orchestration = client.upload_orchestration(_HELLO, file_name=file_name)
        assert orchestration.download(target) == target / (local or f"{orchestration.sha()}.zip")
        assert len(list(target.iterdir())) == 1

    @pytest.mark.parametrize("there", ["a file", "a link to a file", "a link to nothing"])
    def test_replaces_nothing_unless_it_is_told_to_and_never_what_a_link_points_to(
        self, client: orchlite.Client, tmp_path: Path, there: str
    ) -> None:
        target, elsewhere = tmp_path / "here" / "copy.zip", tmp_path / "elsewhere"
        target.parent.mkdir()
        if there != "a link to nothing":
            elsewhere.write_text("precious")
        elsewhere.rename(target) if there == "a file" else target.symlink_to(elsewhere)
        orchestration = client.upload_orchestration(_HELLO)
        with pytest.raises(orchlite.Conflict, match=r"exists already.*overwrite=True"):
            orchestration.download(target)
        assert orchestration.download(target, overwrite=True) == target
        assert target.read_bytes() == _HELLO
        assert not target.is_symlink()
        assert [path.name for path in target.parent.iterdir()] == ["copy.zip"]
        assert elsewhere.exists() == (there == "a link to a file")
        assert not elsewhere.exists() or elsewhere.read_text() == "precious"

    @pytest.mark.parametrize("there", ["a pipe", "a link to a device", "a folder"])
    def test_never_replaces_what_is_not_a_file(self, client: orchlite.Client, tmp_path: Path, there: str) -> None:
        target = tmp_path / "hello.zip"
        if there == "a pipe":
            os.mkfifo(target)
        elif there == "a folder":
            target.mkdir()
        else:
            target.symlink_to("/dev/null")
        before = os.lstat(target)
        orchestration = client.upload_orchestration(_HELLO, file_name="hello.zip")
        with pytest.raises(orchlite.Conflict, match=r"hello\.zip' is not a file, and is not replaced"):
            orchestration.download(tmp_path if there == "a folder" else target, overwrite=True)
        assert os.path.samestat(os.lstat(target), before)
        assert list(tmp_path.glob(".*.part")) == []

    def test_to_an_unwritable_place_says_so(self, client: orchlite.Client, tmp_path: Path) -> None:
        with pytest.raises(orchlite.DeviceFailed, match=r"absent/copy\.zip.*No such file"):
            client.upload_orchestration(_HELLO).download(tmp_path / "absent" / "copy.zip")


class TestDeleting:
    def test_removes_runs_logs_and_bytes(self, client: orchlite.Client) -> None:
        empty = _rows(client)
        orchestration = client.upload_orchestration(_HELLO).wait()
        task = orchestration.run_once()
        run = task.wait()
        assert len(_files(client, "runs")) == 2  # with that of packaging
        orchestration.delete()
        assert _files(client, "runs") == _files(client, "bundles") == []
        assert {**_rows(client), "events": 0} == {**empty, "events": 0}
        for gone in (
            lambda: client.get_orchestration_by_id(orchestration.id()),
            lambda: client.get_task_by_id(task.id()),
            orchestration.delete,
        ):
            with pytest.raises(NotFound):
                gone()
        with pytest.raises(NotFound):
            client.get_task_run_by_id(run.id())

    def test_keeps_the_bytes_that_others_share(self, client: orchlite.Client) -> None:
        doomed, kept = (client.upload_orchestration(_HELLO).wait() for _ in range(2))
        doomed.delete()
        assert kept.run_once().wait().logs()[0].text == "hello"

    def test_is_refused_while_a_task_is_active(self, client: orchlite.Client, folder: MakeFolder, waiting_program: str, gate: Path) -> None:
        orchestration = client.upload_orchestration(path=folder(waiting_program)).wait()
        task = orchestration.run_once()
        with pytest.raises(Conflict, match=task.id()) as refusal:
            orchestration.delete()
        assert refusal.value.details["task_ids"] == [task.id()]
        assert orchestration.status() is OrchestrationStatus.READY
        gate.touch()
        task.wait().raise_for_failure()
        orchestration.delete()

    def test_is_refused_while_it_is_being_packaged(
        self, open_client: Callable[..., orchlite.Client], folder: MakeFolder, waiting_program: str, gate: Path
    ) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()  # the only worker is busy
        orchestration = client.upload_orchestration(large_bundles.packed("print('hello')"))
        with pytest.raises(Conflict, match=orchestration.task().id()):
            orchestration.delete()
        gate.touch()
        orchestration.wait().delete()


class _Interrupting(Environments):
    """Environments whose last step of packaging is interrupted, or closes a client, on request."""

    interrupts = False
    closes: orchlite.Client | None = None

    def sdk(self) -> Path:
        if self.interrupts:
            raise KeyboardInterrupt
        if self.closes is not None:
            self.closes.close(drain=False)
        return super().sdk()


class TestABundleWhoseEnvironmentExists:
    def test_is_ready_when_the_upload_returns_and_has_the_events_and_the_log_of_packaging(
        self, open_client: Callable[..., orchlite.Client], smallest_bundle: bytes
    ) -> None:
        client = open_client()
        client.upload_orchestration(large_bundles.packed("")).wait()  # builds it
        orchestration = client.upload_orchestration(smallest_bundle)
        assert orchestration.status() is OrchestrationStatus.READY
        [run] = orchestration.task().last_runs()
        assert (run.status(), run.exit_code()) == ("success", 0)
        assert [line.text for line in run.logs()] == ["Installed in the environment:", "  nothing"]
        became = [event.became() for event in client.events() if event.object_id() == orchestration.id()]
        assert became == ["pending_packaging", "packaging", "ready"]

    def test_does_not_wait_for_a_worker(
        self, open_client: Callable[..., orchlite.Client], folder: MakeFolder, waiting_program: str, gate: Path, smallest_bundle: bytes
    ) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()  # the only worker is busy
        assert client.upload_orchestration(smallest_bundle).wait(0).status() is OrchestrationStatus.READY
        gate.touch()

    def test_leaves_nothing_behind_if_it_is_interrupted(
        self, open_client: Callable[..., orchlite.Client], shared_cache: Path, smallest_bundle: bytes
    ) -> None:
        client = open_client(environment=(environments := _Interrupting(shared_cache)))
        client.upload_orchestration(smallest_bundle).wait()
        before, runs = _rows(client), sorted((client.path() / "runs").iterdir())
        environments.interrupts = True
        with pytest.raises(KeyboardInterrupt):
            client.upload_orchestration(smallest_bundle)
        assert (_rows(client), sorted((client.path() / "runs").iterdir())) == (before, runs)

    def test_leaves_nothing_behind_if_its_client_is_closed_meanwhile(
        self, open_client: Callable[..., orchlite.Client], shared_cache: Path, smallest_bundle: bytes
    ) -> None:
        client = open_client(environment=(environments := _Interrupting(shared_cache)))
        client.upload_orchestration(smallest_bundle).wait()
        before, runs = _rows(client), sorted((client.path() / "runs").iterdir())
        environments.closes = client
        with pytest.raises(Closed):
            client.upload_orchestration(smallest_bundle)
        assert (_rows(client), sorted((client.path() / "runs").iterdir())) == (before, runs)

    @pytest.mark.parametrize(
        ("files", "refresh"),
        [
            pytest.param({"main.py": ""}, True, id="it is built again"),
            pytest.param({"main.py": "import module_of_nobody"}, False, id="imports must be looked for"),
            pytest.param(large_bundles.files(""), False, id="it is large"),
            pytest.param({"main.py": "", "long.py": "x = 1\n" * 8_000}, False, id="a program is long"),
        ],
    )
    def test_is_packaged_by_a_worker_if(
        self,
        open_client: Callable[..., orchlite.Client],
        folder: MakeFolder,
        waiting_program: str,
        gate: Path,
        files: dict[str, str],
        refresh: bool,
    ) -> None:
        client = open_client()
        client.upload_orchestration(path=folder(waiting_program)).wait().run_once()
        orchestration = client.upload_orchestration(path=folder(files), refresh=refresh)
        assert orchestration.status() is OrchestrationStatus.PENDING_PACKAGING
        gate.touch()
        assert orchestration.wait(20).status() is OrchestrationStatus.READY
