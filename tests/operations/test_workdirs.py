"""What a run leaves in its work folder, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchlite import BadArgument, Client, NotFound, TaskRun
from orchlite.client.client import engine_of
from orchlite.operations import workdirs

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., Client]
Until = Callable[[Callable[[], object]], None]

_BUNDLE = {
    "main.py": (
        "import pathlib, helper, sys\n"
        "pathlib.Path('made').mkdir()\n"
        "pathlib.Path('made/result.txt').write_text('result')\n"
        "pathlib.Path('changed.txt').write_text('after')\n"
        "pathlib.Path('deleted.txt').unlink()\n"
        "pathlib.Path('link').symlink_to('same.txt')\n"
        "sys.exit(int(len(sys.argv) > 1 or pathlib.Path('fails').exists()))\n"
    ),
    "helper.py": "",
    "changed.txt": "before",
    "deleted.txt": "",
    "same.txt": "the same",
    "data/same.txt": "the same",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskRun]:
    """A run that has ended, whose client is open."""
    path = tmp_path_factory.mktemp("ended")
    for name, text in _BUNDLE.items():
        (path / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "bundle" / name).write_text(text)
    with Client(path / "store", workers=1) as client:
        yield client.run(path / "bundle")


def _work(client: Client, run: TaskRun) -> Path:
    return client.path() / "runs" / run.id() / "1" / "work"


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.mark.parametrize("keep_work", ["changed", "all"])
def test_files_are_what_the_run_made_or_changed(open_client: OpenClient, folder: MakeFolder, keep_work: str) -> None:
    client = open_client(keep_work=keep_work)
    run = client.run(folder(_BUNDLE))
    work = _work(client, run)
    assert run.files() == [work / "changed.txt", work / "made" / "result.txt"]
    assert [path.read_text() for path in run.files()] == ["after", "result"]
    assert run.files(relative=True) == [Path("changed.txt"), Path("made/result.txt")]
    assert run.file("made/result.txt") == run.file(work / "made" / "result.txt") == work / "made" / "result.txt"


@pytest.mark.parametrize("name", ["same.txt", "link", "absent", "../result.json", "made"])
def test_only_these_are_found_by_name(ended: TaskRun, name: str) -> None:
    with pytest.raises(NotFound, match=rf"has no file '{name}'\. It has changed\.txt, made/result\.txt\."):
        ended.file(name)


@pytest.mark.parametrize("name", ["", "a\0b", 5, None])
def test_a_name_is_a_path(ended: TaskRun, name: Any) -> None:
    with pytest.raises(BadArgument, match="name is"):
        ended.file(name)


def test_unchanged_files_of_the_bundle_are_removed_after_a_success(open_client: OpenClient, folder: MakeFolder, until: Until) -> None:
    client = open_client()
    run = client.run(folder(_BUNDLE))
    until(lambda: sorted(path.name for path in _work(client, run).iterdir()) == ["changed.txt", "link", "made"])
    assert run.files() == [_work(client, run) / "changed.txt", _work(client, run) / "made" / "result.txt"]


def test_everything_may_be_kept(open_client: OpenClient, folder: MakeFolder) -> None:
    with open_client(keep_work="all") as client:
        run = client.run(folder(_BUNDLE))
    assert {"main.py", "same.txt", "data/same.txt", "changed.txt", "made/result.txt"} <= set(_names(_work(client, run)))


def test_nothing_may_be_kept(open_client: OpenClient, folder: MakeFolder, until: Until) -> None:
    client = open_client(keep_work="none")
    run = client.run(folder(_BUNDLE))
    until(lambda: not _work(client, run).exists())
    assert run.files() == []
    assert run.logs() == []
    assert run.status() == "success"


_LINKS = """
import os, pathlib
work = pathlib.Path.cwd()
place = {{"work": work, "attempt": work.parent, "run": work.parent.parent}}[{place!r}]
place.rename({aside!r})
place.symlink_to({elsewhere!r})
"""


@pytest.mark.parametrize("keep_work", ["none", "changed"])
@pytest.mark.parametrize(("place", "inside"), [("work", "."), ("attempt", "work"), ("run", "1/work")])
def test_nothing_behind_a_link_that_the_program_has_put_in_its_place_is_removed_or_listed(
    open_client: OpenClient, folder: MakeFolder, tmp_path: Path, keep_work: str, place: str, inside: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    program = _LINKS.format(place=place, aside=str(tmp_path / "aside"), elsewhere=str(elsewhere))
    files = [elsewhere / inside / name for name in ("main.py", "other.txt")]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text(program)  # one is as in the bundle, the other is not
    with open_client(keep_work=keep_work) as client:
        run = client.run(folder(program))
        assert (run.status(), run.files()) == ("success", [])
    assert all(file.exists() for file in files)


def test_a_failed_run_keeps_everything(open_client: OpenClient, folder: MakeFolder) -> None:
    with open_client() as client:
        run = client.run(folder({**_BUNDLE, "fails": ""}))
    assert run.exit_code() == 1
    assert "same.txt" in _names(_work(client, run))


def test_what_is_kept_survives_the_client(open_client: OpenClient, folder: MakeFolder) -> None:
    with open_client() as client:
        run = client.run(folder(_BUNDLE))
    again = open_client().get_task_run_by_id(run.id())
    assert [path.name for path in again.files()] == ["changed.txt", "result.txt"]
    assert _names(_work(client, run)) == ["changed.txt", "made/result.txt"]


def test_a_run_that_never_started_has_no_files(open_client: OpenClient, folder: MakeFolder, waiting_program: str) -> None:
    orchestration = open_client().upload_orchestration(path=folder(waiting_program)).wait()
    orchestration.run_once()
    [queued] = orchestration.run_once().last_runs()
    assert queued.files() == []


def test_every_run_starts_with_a_fresh_copy(client: Client, folder: MakeFolder) -> None:
    orchestration = client.upload_orchestration(path=folder(_BUNDLE))
    for _ in range(2):
        assert orchestration.run_once().wait().status() == "success"  # `mkdir` and `unlink` would fail in a used folder


def test_executable_files_of_the_bundle_stay_executable(client: Client, folder: MakeFolder) -> None:
    path = folder({"main.py": "import subprocess; subprocess.run(['./say.sh'], check=True)", "say.sh": "#!/bin/sh\necho hello\n"})
    (path / "say.sh").chmod(0o755)
    assert str(client.run(path).raise_for_failure().logs()) == "hello\n"


def test_nothing_is_said_of_work_folders_when_the_store_closes(
    tmp_path: Path, folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(tmp_path / "store") as client:
        context = engine_of(client).context
        run = context.store.runs.get(client.run(folder("")).id())
    context.cleaner.schedule(run)
    with caplog.at_level("INFO"):
        workdirs.clean_up(context)
    assert [record for record in caplog.records if "cleaned up" in record.message] == []
