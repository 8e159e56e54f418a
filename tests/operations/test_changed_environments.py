"""Runs that change the environment which others share, as root can: it is noticed, and built again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import orchlite
from orchlite.environments.environments import Environments

MakeFolder = Callable[..., Path]

_CHANGES = """
import os, pathlib, sys
path = pathlib.Path(sys.prefix, {name!r})
for folder in (*path.parents, path):
    if folder.is_relative_to(sys.prefix) and folder.exists():
        os.chmod(folder, 0o700)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text("VALUE = 'changed'")
"""


@pytest.fixture
def environments(tmp_path: Path, package_index: tuple[str, str]) -> Environments:
    return Environments(tmp_path / "cache", installer="uv", index_urls=(package_index[0],))


@pytest.fixture
def client(tmp_path: Path, environments: Environments) -> Iterator[orchlite.Client]:
    with orchlite.Client(tmp_path / "store", workers=1, base_image="clean", environment=environments) as client:
        yield client


@pytest.fixture
def site_packages(client: orchlite.Client, folder: MakeFolder, package_index: tuple[str, str], tmp_path: Path) -> str:
    """Its path relative to the environment, which is built."""
    bundle = folder({"main.py": "import sysconfig; print(sysconfig.get_path('purelib'))", "requirements.txt": package_index[1]})
    path = Path(str(client.run(bundle).logs()).strip())
    return str(path.relative_to(next(each for each in path.parents if each.name == "lib").parent))


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "{site}/{package}/shadow.py",
        *("{site}/shadow.py", "bin/shadow", "{site}/shadow.pth"),
    ],
)
def test_the_next_run_gets_it_as_it_was_built(
    client: orchlite.Client, folder: MakeFolder, package_index: tuple[str, str], site_packages: str, where: str, tmp_path: Path
) -> None:
    requirement = package_index[1]
    name = where.format(site=site_packages, package=f"{requirement.partition('=')[0]}-1.0.dist-info")
    assert client.run(folder({"main.py": _CHANGES.format(name=name), "requirements.txt": requirement})).status() == "success"
    [finding] = client.check()
    assert (finding.kind, finding.hint) == ("environment", "The next run that needs it builds it again.")
    assert str(Path(name).parent) in finding.what
    seen = f"import pathlib, sys; print(pathlib.Path(sys.prefix, {name!r}).exists())"
    run = client.run(folder({"main.py": seen, "requirements.txt": requirement}))
    assert str(run.logs()) == "False\n"
    assert client.check() == []
    told = "".join(path.read_text() for path in (tmp_path / "store" / "runs").rglob("*log*") if path.is_file())
    assert "a program has changed the environment" in told


@pytest.mark.slow
def test_imports_write_no_bytecode(
    client: orchlite.Client, folder: MakeFolder, package_index: tuple[str, str], site_packages: str, environments: Environments
) -> None:
    requirement = package_index[1]
    before = sorted(environments.cache.rglob("environments/*/*/**/*"))
    script = f"import {requirement.partition('=')[0]} as tiny; print(tiny.__cached__)"
    run = client.run(folder({"main.py": script, "requirements.txt": requirement}))
    assert Path(str(run.logs()).strip()).is_file()
    assert sorted(environments.cache.rglob("environments/*/*/**/*")) == before


@pytest.mark.slow
def test_no_file_is_a_link_into_the_installers_cache(site_packages: str, environments: Environments) -> None:
    files = [path for path in environments.cache.rglob("environments/*/*/**/*") if path.is_file() and not path.is_symlink()]
    assert files
    assert {path for path in files if path.stat().st_nlink > 1} == set()


@pytest.mark.slow
def test_a_program_that_installs_is_told_what_to_do_instead(client: orchlite.Client, folder: MakeFolder) -> None:
    script = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'pip', 'install', 'six']))"
    run = client.run(folder(script))
    assert run.exit_code() == 1
    [line, *_] = run.logs()
    assert (line.stream, "`pip install` is refused here" in line.text) == ("stderr", True)
    assert client.check() == []
