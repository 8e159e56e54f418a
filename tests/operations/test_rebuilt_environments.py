"""Environments that must be built again: they get the versions that were recorded, or the orchestration says what it has instead."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from orchlite.environments.environments import Environments
from tests.operations.package_index import Index

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


@pytest.fixture
def environments(tmp_path: Path, index: Index) -> Environments:
    return Environments(tmp_path / "cache", installer="uv", index_urls=(index.url,))


def _events(client: orchlite.Client) -> list[str]:
    return [event.reason() or "" for event in client.events() if event.became() == "rebuilt"]


@pytest.mark.slow
def test_the_recorded_versions_are_installed_while_the_index_has_them(
    open_client: OpenClient, folder: MakeFolder, index: Index, environments: Environments
) -> None:
    old = index.add("grows", "1.0")
    name = old.partition("==")[0]
    client = open_client(base_image="clean", environment=environments)
    bundle = folder({"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": name})
    orchestration = client.upload_orchestration(path=bundle).wait()
    recorded = orchestration.installed()
    warnings = orchestration.warnings()

    index.add("grows", "2.0")
    shutil.rmtree(environments.cache / "environments")
    first = orchestration.run_once().wait(20)
    assert str(first.logs()) == "grows 1.0\n"
    assert (orchestration.installed(), orchestration.warnings(), _events(client)) == (recorded, warnings, [])

    index.remove(old)
    shutil.rmtree(environments.cache / "environments")
    assert str(orchestration.run_once().wait(20).logs()) == "grows 2.0\n"
    label = recorded[0].partition("==")[0]
    [said] = _events(client)
    assert said.startswith(f"The environment was built again with other versions: {label} 2.0 in place of 1.0. Why not the recorded ones: ")
    assert orchestration.installed() == [f"{label}==2.0"]
    assert orchestration.warnings() == [*warnings, said]
    assert str(orchestration.run_once().wait(20).logs()) == "grows 2.0\n"
    assert _events(client) == [said], "it is said once"
    assert first.packages() == (platform.python_version(), tuple(recorded), ()), "it is what the run has seen"


@pytest.mark.slow
def test_an_environment_that_others_had_built_with_other_versions_is_left_to_them(
    open_client: OpenClient, folder: MakeFolder, index: Index, environments: Environments
) -> None:
    name = index.add("grows", "1.0").partition("==")[0]
    client = open_client(base_image="clean", environment=environments)
    bundle = folder({"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": name})
    old = client.upload_orchestration(path=bundle).wait()
    index.add("grows", "2.0")
    new = client.upload_orchestration(path=bundle, refresh=True).wait()
    assert [str(each.run_once().wait(20).logs()) for each in (old, new, old)] == ["grows 1.0\n", "grows 2.0\n", "grows 1.0\n"]
