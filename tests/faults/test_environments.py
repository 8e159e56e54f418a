"""Environments under faults: an index that never responds, two hosts that build the same one, an interpreter that is missing."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite import OrchestrationStatus, PackagingFailed
from orchlite.environments.environments import Environments

StartHost = Callable[..., subprocess.Popen[str]]
CheckStore = Callable[..., dict[str, str]]
Bearers = Callable[[str], list[int]]
MakeFolder = Callable[..., Path]

_both = pytest.mark.parametrize("installer", ["pip", pytest.param("uv", marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def silent_index() -> Iterator[str]:
    """An index that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/simple"


@pytest.fixture
def requirement(tmp_path: Path) -> str:
    """A requirement of a package that was never installed before, in the index at `tmp_path / "index"`."""
    name = f"shared_{uuid.uuid4().hex}"
    folder = tmp_path / "index" / name.replace("_", "-")
    folder.mkdir(parents=True)
    with ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "ANSWER = 42\n")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{name}-1.0-py3-none-any.whl">it</a>')
    return f"{name}==1.0"


@pytest.mark.slow
@_both
def test_an_index_that_never_responds_is_given_up_at_the_limit_and_no_process_remains(
    silent_index: str, tmp_path: Path, folder: MakeFolder, shared_cache: Path, check_store: CheckStore, bearers: Bearers, installer: str
) -> None:
    requirement = f"silent-{uuid.uuid4().hex}==1.0"
    store = tmp_path / "store"
    with orchlite.Client(store, index_urls=[silent_index], install_timeout_seconds=1, installer=installer) as client:
        orchestration = client.upload_orchestration(path=folder({"main.py": "print()", "requirements.txt": requirement}))
        task = orchestration.run_once()
        with pytest.raises(PackagingFailed, match=r"did not end within 1 s.*install_timeout_seconds"):
            orchestration.wait(60)
        assert orchestration.status() is OrchestrationStatus.ERROR
        assert task.wait(20).exit_code() is None
    environment = (
        shared_cache / "environments" / Environments(shared_cache, installer=installer, index_urls=(silent_index,)).key((requirement,))
    )
    assert bearers(str(environment)) == []
    assert [path.name for path in environment.iterdir()] == ["lock"]
    assert set(check_store(store).values()) == {"failure"}


_PACKAGES = """
import sys, orchlite
store, bundle, index, installer = sys.argv[1:]
with orchlite.Client(store, workers=1, index_urls=[index], base_image="clean", installer=installer, grace_seconds=0.5) as client:
    print("ready")
    sys.stdin.readline()
    orchestration = client.upload_orchestration(path=bundle).wait()
    print(len(orchestration.task().wait().logs()) > 2, *orchestration.installed(), *client.run(orchestration).logs())
"""


@pytest.mark.slow
@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
def test_two_hosts_that_need_the_same_new_environment_build_it_once(
    requirement: str, tmp_path: Path, folder: MakeFolder, start_host: StartHost, check_store: CheckStore, shared_cache: Path, installer: str
) -> None:
    name, url = requirement.partition("==")[0], (tmp_path / "index").as_uri() + "/"
    bundle = folder({"main.py": f"import {name}; print({name}.ANSWER)", "requirements.txt": requirement})
    hosts = [start_host(_PACKAGES, tmp_path / f"store-{number}", bundle, url, installer) for number in range(2)]
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
    _tell(hosts)
    said = [host.communicate(timeout=60)[0].split() for host in hosts]
    assert sorted(words[0] for words in said) == ["False", "True"], "one installer has printed something"
    assert [(words[1].replace("-", "_"), words[-1]) for words in said] == [(requirement, "42")] * 2
    line = f"{name.replace('_', '-')}==1.0"
    key = Environments(shared_cache, installer=installer, index_urls=(url,)).key((line,))
    assert len(list((shared_cache / "environments" / key).glob("*/"))) == 1
    for number in range(2):
        assert set(check_store(tmp_path / f"store-{number}").values()) == {"success"}


def _tell(hosts: list[subprocess.Popen[str]]) -> None:
    """Let both start before waiting for either."""
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write("go\n")
        host.stdin.flush()


@pytest.mark.slow
def test_an_environment_whose_interpreter_was_removed_is_built_again_for_the_next_run(
    requirement: str, tmp_path: Path, folder: MakeFolder, check_store: CheckStore
) -> None:
    name, url = requirement.partition("==")[0], (tmp_path / "index").as_uri() + "/"
    environments = Environments(tmp_path / "cache", index_urls=(url,), installer="uv")
    bundle = folder({"main.py": f"import {name}; print({name}.ANSWER)", "requirements.txt": requirement})
    with orchlite.Client(
        tmp_path / "store", workers=1, environment=environments, base_image="clean", index_urls=[url], installer="uv"
    ) as client:
        orchestration = client.upload_orchestration(path=bundle).wait()
        [interpreter] = (tmp_path / "cache" / "environments").glob("*/*/bin/python")
        interpreter.unlink()
        interpreter.symlink_to("/nowhere/python3")
        run = orchestration.run_once().wait(60)
        assert (run.status(), str(run.logs())) == ("success", "42\n")
        assert not interpreter.exists()
    check_store(tmp_path / "store", [run.id()])


def test_the_error_names_a_missing_interpreter(tmp_path: Path, folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys._base_executable", "/nowhere/python3")
    with orchlite.Client(tmp_path / "store", environment=Environments(tmp_path / "cache")) as client:
        orchestration = client.upload_orchestration(path=folder("print()"))
        with pytest.raises(PackagingFailed, match=r"interpreter '/nowhere/python3'.*Is it still installed"):
            orchestration.wait(60)
        assert orchestration.status() is OrchestrationStatus.ERROR
