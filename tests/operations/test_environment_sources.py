"""Which environment a run gets: the one that its orchestration has recorded, else one from the indexes that apply now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite.environments.environments import Environments

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]
_NO_INDEX = "http://127.0.0.1:1/"
_BUNDLE = {"main.py": "import twofold; print(twofold.ORIGIN)", "requirements.txt": "twofold==1.0"}


@pytest.fixture
def indexes(tmp_path: Path) -> tuple[str, str]:
    """The URLs of two indexes that have different packages of one name and version."""
    return _index(tmp_path / "first", "first"), _index(tmp_path / "second", "second")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _index(folder: Path, origin: str) -> str:
    wheel = folder / "twofold" / "twofold-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with ZipFile(wheel, "w") as archive:
        archive.writestr("twofold.py", f"ORIGIN = {origin!r}\n")
        archive.writestr("twofold-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: twofold\nVersion: 1.0\n")
        archive.writestr("twofold-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("twofold-1.0.dist-info/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return folder.as_uri() + "/"


def _environments(cache: Path, index: str, installer: str = "pip") -> Environments:
    return Environments(cache, installer=installer, index_urls=(index,))


@pytest.mark.slow
@pytest.mark.parametrize("stores", [pytest.param(("one", "other"), id="two stores"), pytest.param(("one", "one"), id="one store")])
def test_what_is_installed_comes_from_the_index_that_the_client_names(
    tmp_path: Path, folder: MakeFolder, cache: Path, indexes: tuple[str, str], stores: tuple[str, str]
) -> None:
    bundle, seen = folder(_BUNDLE), []
    for store, index in zip(stores, indexes, strict=True):
        with orchlite.Client(tmp_path / store, workers=1, base_image="clean", environment=_environments(cache, index)) as client:
            seen.append(str(client.run(bundle).logs()).strip())
    assert seen == ["first", "second"]


@pytest.mark.slow
def test_without_an_index_what_is_installed_already_is_used(
    open_client: OpenClient, folder: MakeFolder, cache: Path, indexes: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = folder(_BUNDLE)
    open_client(base_image="clean", environment=_environments(cache, indexes[0])).run(bundle)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    run = open_client(base_image="clean", environment=Environments(cache)).run(bundle)
    assert (run.status(), str(run.logs())) == ("success", "first\n")


def test_the_same_index_with_another_password_has_the_same_environment(cache: Path) -> None:
    keys = {_environments(cache, f"https://me:{word}@a/simple").key(("six==1.0",)) for word in ("old", "new")}
    assert len(keys) == 1


@pytest.mark.slow
def test_an_environment_is_installed_from_what_its_key_was_made_of(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexes: tuple[str, str]
) -> None:
    config = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    environments, requirements = Environments(cache, installer="pip"), ("twofold==1.0",)
    config.write_text(f"[global]\nindex-url = {indexes[0]}\n")
    key = environments.key(requirements)
    config.write_text(f"[global]\nindex-url = {indexes[1]}\n")
    with environments.building(key, lambda: False) as build:
        build.create()
        environments.install_command(build, requirements)
        lines = (build.install_folder / "requirements.txt").read_text().splitlines()
    assert lines[0] == f"--index-url {indexes[0]}"
    assert environments.key(requirements) != key, "a client that lives on sees the new configuration"


class TestARecordedEnvironment:
    """Another installer stands for all that an upgrade changes in keys."""

    @pytest.fixture
    def orchestration_id(self, open_client: OpenClient, folder: MakeFolder, cache: Path, indexes: tuple[str, str]) -> str:
        client = open_client(base_image="clean", environment=_environments(cache, indexes[0]))
        orchestration = client.upload_orchestration(path=folder(_BUNDLE)).wait()
        client.close()
        return orchestration.id()

    @staticmethod
    def _run(client: orchlite.Client, orchestration_id: str) -> orchlite.TaskRun:
        [orchestration] = [each for each in client.list_orchestrations() if each.id() == orchestration_id]
        return orchestration.run_once().wait(60)

    @pytest.mark.slow
    def test_stays_valid_without_an_index_whatever_keys_are_made_of(
        self, open_client: OpenClient, orchestration_id: str, cache: Path
    ) -> None:
        run = self._run(open_client(environment=_environments(cache, _NO_INDEX, "uv")), orchestration_id)
        assert (run.status(), str(run.logs())) == ("success", "first\n")

    @pytest.mark.slow
    def test_that_was_removed_is_built_again_from_the_present_index_and_recorded(
        self, open_client: OpenClient, orchestration_id: str, cache: Path, indexes: tuple[str, str]
    ) -> None:
        shutil.rmtree(cache / "environments")
        environments = _environments(cache, indexes[1], "uv")
        client = open_client(environment=environments)
        run = self._run(client, orchestration_id)
        assert (run.status(), str(run.logs())) == ("success", "second\n")
        recorded = client._engine.context.store.orchestrations.get(orchestration_id).environment_key
        assert recorded == environments.key(("twofold==1.0",))

    @pytest.mark.slow
    def test_of_another_interpreter_is_not_used_and_stays_recorded(
        self, open_client: OpenClient, orchestration_id: str, cache: Path, indexes: tuple[str, str]
    ) -> None:
        [config] = (cache / "environments").glob("*/*/pyvenv.cfg")
        config.write_text(config.read_text().replace("version_info = 3.", "version_info = 2."))
        client = open_client(environment=_environments(cache, indexes[1], "uv"))
        run = self._run(client, orchestration_id)
        assert (run.status(), str(run.logs())) == ("success", "second\n")
        recorded = client._engine.context.store.orchestrations.get(orchestration_id).environment_key
        assert recorded == config.parents[1].name
