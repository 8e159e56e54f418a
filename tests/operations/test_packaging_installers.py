"""Passwords in the addresses that an installation uses, and which installer is chosen."""

from __future__ import annotations

import os
import socket
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import orchlite
from orchlite import PackagingFailed
from orchlite.core.settings import Limits
from orchlite.environments.environments import Environments
from orchlite.environments.requirements import parse_requirements

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]

_SECRET = "Tops3cret-wording"


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A host and port on which no server listens, nor will."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


def _files_with_the_secret(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and _SECRET.encode() in path.read_bytes()]


def _rows_with_the_secret(store: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(store / "store.sqlite") as database:
        database.row_factory = sqlite3.Row
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [(table, row) for table in tables for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    return {(table, name) for table, row in rows for name in row.keys() if _SECRET in str(row[name])}  # noqa: SIM118 - a row has values


_ROW = {("orchestrations", "requirements")}
_PLACES: dict[str, tuple[str, str, set[tuple[str, str]]]] = {
    "in an index's address": ("http://me:{secret}@{host}/simple", "orchlite-no-such-package", set()),
    "a token alone": ("http://{secret}@{host}/simple", "orchlite-no-such-package", set()),
    "in a link": ("http://{host}", "x @ https://me:{secret}@{host}/x-1.0-py3-none-any.whl", _ROW),
    "in a git link": ("http://{host}", "git+https://me:{secret}@{host}/x@" + "0" * 40, _ROW),
}
_QUICK = {("in an index's address", "pip"), *((place, "uv") for place in _PLACES if place != "a token alone")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("installer", "index", "requirement", "kept"),
    [
        pytest.param(installer, *secret, id=f"{place}-{installer}", marks=[pytest.mark.slow] * ((place, installer) not in _QUICK))
        for place, secret in _PLACES.items()
        for installer in ("pip", "uv")
    ],
)
def test_a_password_of_an_index_is_neither_shown_nor_stored(
    open_client: OpenClient,
    folder: MakeFolder,
    unreachable: str,
    shared_cache: Path,
    installer: str,
    index: str,
    requirement: str,
    kept: set[tuple[str, str]],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = {"secret": _SECRET, "host": unreachable}
    index_url, lines = index.format(**given), parse_requirements(requirement.format(**given).encode()).lines
    client = open_client(index_urls=[index_url], installer=installer)
    with caplog.at_level("DEBUG", logger="orchlite"):
        bundle = folder({"main.py": "print()", "requirements.txt": requirement.format(**given)})
        orchestration = client.upload_orchestration(path=bundle)
        task = orchestration.run_once()
        with pytest.raises(PackagingFailed) as failure:
            orchestration.wait(60)
    told = [
        *(str(failure.value), repr(failure.value), str(failure.value.details), str(orchestration.requirements()), repr(orchestration)),
        *(
            str(orchestration.warnings()),
            "\n".join(orchestration.task().wait().logs()),
            "\n".join(task.wait(20).logs()),
            str(task.reason()),
        ),
        *(caplog.text, *capfd.readouterr()),
    ]
    assert [text for text in told if _SECRET in text] == []
    client.close()
    assert _rows_with_the_secret(client.path()) == kept
    left = [name for name in _files_with_the_secret(client.path()) if not name.startswith(("bundles/", "store.sqlite"))]
    assert left == []
    key = Environments(shared_cache, installer=installer, index_urls=(index_url,)).key(lines)
    assert _files_with_the_secret(shared_cache / "environments" / key) == []


@pytest.mark.slow
@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
def test_the_password_of_a_proxy_is_stored_nowhere(
    open_client: OpenClient, folder: MakeFolder, package_index: tuple[str, str], monkeypatch: pytest.MonkeyPatch, installs: bool
) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:{_SECRET}@127.0.0.1:1")
    index_url, requirement = package_index
    client = open_client(index_urls=[index_url], base_image="clean")
    bundle = folder({"main.py": "print()", "requirements.txt": requirement if installs else "orchlite-no-such-package==1.0"})
    orchestration = client.upload_orchestration(path=bundle)
    with nullcontext() if installs else pytest.raises(PackagingFailed):
        orchestration.wait(60)
    client.close()
    assert _files_with_the_secret(client.path()) == []


def test_a_part_of_a_long_line_is_masked_like_the_rest(tmp_path: Path) -> None:
    from orchlite.runs.runner.log_writer import LogWriter

    path = tmp_path / "log"
    writer = LogWriter(str(path), Limits().log_bytes, masked=True)
    for text in (b"http://me:s3cret@a/x git+https://s3cret@b c://d e@f\n", b"ftp://me:s3cret@g"):
        writer.feed("stdout", text)
    writer.finish(durable=False)
    assert [line.split(" ", 3)[3] for line in path.read_text().splitlines()] == [
        "http://****@a/x git+https://****@b c://d e@f",
        "ftp://****@g",
    ]


class TestWhichInstaller:
    """With uv installed, which is a development requirement."""

    @pytest.fixture
    def chosen(self, tmp_path: Path) -> Callable[..., str]:
        def name(*lines: str, **settings: object) -> str:
            environments = Environments(tmp_path / "cache", **settings)  # type: ignore[arg-type]
            lines = lines or ("six==1.0",)
            with environments.building(environments.key(lines), lambda: False) as build:
                build.create()
                return "uv" if Path(environments.install_command(build, lines).args[0]).name == "uv" else "pip"

        return name

    @pytest.mark.slow
    def test_uv_is_chosen_if_pip_would_install_from_the_same_index(self, chosen: Callable[..., str]) -> None:
        assert (chosen(), chosen(index_urls=("https://a",)), chosen(installer="pip")) == ("uv", "uv", "pip")

    @pytest.mark.slow
    def test_pip_is_chosen_for_several_indexes(self, chosen: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        several = ("https://a", "https://b")
        assert (chosen(index_urls=several), chosen(index_urls=several, installer="uv")) == ("pip", "uv")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b")
        assert chosen() == "pip"

    @pytest.mark.slow
    def test_uv_is_chosen_if_its_own_indexes_are_configured(self, chosen: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b")
        monkeypatch.setenv("UV_DEFAULT_INDEX", "https://a")
        assert (chosen(), chosen(index_urls=("https://a", "https://b"))) == ("uv", "pip")

    @pytest.mark.slow
    def test_pip_is_chosen_for_lines_that_uv_reads_differently(self, chosen: Callable[..., str]) -> None:
        assert chosen("--only-binary=:all:", "--no-binary=six", "six==1.0") == "pip"

    def test_each_installer_has_environments_of_its_own(self, tmp_path: Path) -> None:
        keys = {Environments(tmp_path, installer=installer).key(("six==1.0",)) for installer in ("pip", "uv", "auto")}
        assert len(keys) == 3

    def test_a_missing_uv_is_refused_with_a_hint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("sys.prefix", str(tmp_path))
        with pytest.raises(orchlite.BadArgument, match=r"There is no uv.*pip install uv"):
            orchlite.Client(tmp_path / "store", installer="uv")
        assert not (tmp_path / "store").exists()

    @pytest.mark.slow
    @pytest.mark.parametrize("says", ["echo uv 0.4.30", "exit 1", "echo something else"])
    def test_an_unusable_uv_counts_as_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Callable[..., str], says: str
    ) -> None:
        program = tmp_path / "bin" / "uv"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o700)
        monkeypatch.setenv("PATH", str(program.parent))
        assert chosen() == "pip"
        with pytest.raises(orchlite.BadArgument, match=r"There is no uv"):
            orchlite.Client(tmp_path / "store", installer="uv")

    @pytest.mark.parametrize(
        ("settings", "variables", "may"),
        [
            pytest.param({}, {}, True, id="uv, which was not asked for"),
            pytest.param({"installer": "uv"}, {}, False, id="uv by name"),
            pytest.param({}, {"UV_DEFAULT_INDEX": "https://a"}, False, id="uv by its variables"),
            pytest.param({"index_urls": ("https://a",)}, {"UV_DEFAULT_INDEX": "https://b"}, True, id="variables that do not count"),
            pytest.param({"index_urls": ("https://a", "https://b")}, {}, False, id="pip, which was chosen at once"),
            pytest.param({"installer": "pip"}, {}, False, id="pip by name"),
        ],
    )
    def test_pip_replaces_only_a_uv_that_was_not_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], variables: dict[str, str], may: bool
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert Environments(tmp_path, **settings).may_use_pip(("six==1.0",)) is may

    def test_an_unknown_installer_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(orchlite.BadArgument, match=r"installer is 'conda'.*auto, pip, uv"):
            orchlite.Client(tmp_path / "store", installer="conda")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place to install from: a version for an old Python, a pre-release, a dependency by link."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    _wheel(folder, "plain-1.0")
    _wheel(folder, "capped-1.0", "Requires-Python: >=3.8")
    _wheel(folder, "capped-2.0", "Requires-Python: >=3.8,<3.9")
    _wheel(folder, "linking-1.0", f"Requires-Dist: plain @ {(folder / 'plain-1.0-py3-none-any.whl').as_uri()}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _wheel(folder: Path, name: str, *metadata: str) -> None:
    project, _, version = name.partition("-")
    files = {
        "METADATA": "\n".join(["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}", *metadata, ""]),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{name}.dist-info/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
    }
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(f"{name}.dist-info/{file}", text)


@pytest.mark.slow
@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("line", "installed", "by"),
    [
        pytest.param("plain", {"plain==1.0"}, "uv", id="no difference"),
        pytest.param("capped", {"capped==1.0"}, "pip", id="for another Python"),
        pytest.param("linking", {"linking==1.0", "plain==1.0"}, "pip", id="what uv refuses"),
    ],
)
def test_auto_gives_pips_result(
    open_client: OpenClient, folder: Callable[..., Path], tmp_path: Path, line: str, installed: set[str], by: str
) -> None:
    client = open_client(environment=Environments(tmp_path / "cache", installer="auto"))
    orchestration = client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": line})).wait()
    assert set(orchestration.installed()) == installed
    told = "".join(log.read_text() for log in (client.path() / "runs").rglob("log"))
    assert ("pip installs instead of uv" in told) == (by == "pip")


@pytest.fixture
def uv_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program named uv on the path, which does what a line of shell says instead of installing."""

    def put(line: str) -> None:
        program = tmp_path / "bin" / "uv"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo uv 0.9.0; exit; fi\n{line}\n')
        program.chmod(0o700)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    return put


@pytest.mark.usefixtures("wheels")
@pytest.mark.parametrize(
    ("installer", "variables", "line", "settings", "told"),
    [
        pytest.param("uv", {}, "echo refused; exit 3", {}, "refused", id="refused, and was named"),
        pytest.param("auto", {"UV_NO_INDEX": "1"}, "echo refused; exit 3", {}, "refused", id="refused, and has variables of its own"),
        pytest.param("auto", {}, "exec sleep 60", {"install_timeout_seconds": 0.2}, "within 0.2 s", id="took too long"),
    ],
)
def test_pip_does_not_install_although_uv(
    open_client: OpenClient,
    folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uv_on_the_path: Callable[[str], None],
    installer: str,
    variables: dict[str, str],
    line: str,
    settings: dict[str, float],
    told: str,
) -> None:
    uv_on_the_path(line)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = open_client(environment=Environments(tmp_path / "cache", installer=installer), **settings)
    orchestration = client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": "plain"}))
    with pytest.raises(PackagingFailed, match=told):
        orchestration.wait(60)
    assert "pip installs" not in "".join(log.read_text() for log in (client.path() / "runs").rglob("log"))


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_installer_does_not_remain_in_an_environment(
    open_client: OpenClient, folder: Callable[..., Path], package_index: tuple[str, str], tmp_path: Path, installer: str
) -> None:
    url, requirement = package_index
    environments = Environments(tmp_path / "cache", installer=installer, index_urls=(url,))
    client = open_client(environment=environments)
    client.upload_orchestration(path=folder({"main.py": "", "requirements.txt": requirement})).wait()
    [python] = (tmp_path / "cache" / "environments").glob("*/*/bin/python")
    left = {path.name for path in python.parents[1].iterdir() if path.suffix != ".TAG"}
    assert left - {"lib64"} == {"bin", "include", "lib", "pyvenv.cfg"}
