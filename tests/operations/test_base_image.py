"""The base image of a client: what runs see below their requirements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite
from tests.operations.package_index import Index

MakeFolder = Callable[..., Path]
OpenClient = Callable[..., orchlite.Client]

_SAYS = """
import importlib
for name in {names}:
    try:
        print(importlib.import_module(name).WORDS)
    except ImportError:
        print("absent")
"""


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


def _module(requirement: str) -> str:
    return requirement.partition("==")[0]


def test_a_run_sees_the_list_and_its_requirements_which_win_and_nothing_of_the_host(
    open_client: OpenClient, folder: MakeFolder, index: Index
) -> None:
    below, older, newer = index.add("below", "1.0"), index.add("both", "1.0"), index.add("both", "2.0")
    client = open_client(base_image=[below, older], index_urls=[index.url])
    names = [_module(below), _module(newer), "pytest"]
    program = f"{_SAYS.format(names=names)}\ndef never_called():\n    import {', '.join(names)}\n"
    orchestration = client.upload_orchestration(path=folder({"main.py": program, "requirements.txt": newer})).wait()
    assert str(orchestration.run_once().wait(20).logs()) == "below 1.0\nboth 2.0\nabsent\n"
    assert [name.replace("-", "_") for name in orchestration.installed()] == [below, newer]
    [warning] = orchestration.warnings()
    assert warning.startswith("nothing brings pytest ('main.py', line 10): it is not in")
    assert "the requirements or the base image" in warning


def test_an_orchestration_keeps_its_base_image_under_another_client(open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
    below = index.add("below", "1.0")
    first = open_client(base_image=[below], index_urls=[index.url])
    orchestration = first.upload_orchestration(path=folder(_SAYS.format(names=[_module(below), "pytest"]))).wait()
    first.close()
    again = open_client(base_image="host", index_urls=[index.url]).get_orchestration_by_id(orchestration.id())
    assert str(again.run_once().wait(20).logs()) == "below 1.0\nabsent\n"


@pytest.mark.slow
def test_known_bytes_are_packaged_again_for_another_base_image(open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
    below = index.add("below", "1.0")
    bundle = folder(_SAYS.format(names=[_module(below)]))
    said = [
        str(open_client(base_image=base_image, index_urls=[index.url]).run(bundle).logs()) for base_image in ([below], "clean", [below], [])
    ]
    assert said == ["below 1.0\n", "absent\n", "below 1.0\n", "absent\n"]
    assert len(open_client().list_orchestrations()) == 2


def test_a_line_without_a_version_is_a_warning_of_the_orchestration(open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
    name = _module(index.add("below", "1.0")).replace("_", "-")
    client = open_client(base_image=[name], index_urls=[index.url])
    assert client.upload_orchestration(path=folder("print()")).wait().warnings()[0].startswith(f"base_image: {name} has no version")


def test_a_refused_line_creates_no_store(tmp_path: Path) -> None:
    with pytest.raises(orchlite.BadArgument, match="base_image, line 2: '-e x'"):
        orchlite.Client(tmp_path / "store", base_image=["six==1.0", "-e x"])
    assert not (tmp_path / "store").exists()


class TestRefresh:
    def test_builds_an_existing_environment_again(self, open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
        index.add("grows", "1.0")
        name = _module(index.add("grows", "1.0"))
        client = open_client(base_image="clean", index_urls=[index.url])
        bundle = folder({"main.py": f"import {name}; print({name}.WORDS)", "requirements.txt": name})
        old = client.upload_orchestration(path=bundle).wait()
        index.add("grows", "2.0")
        assert str(client.upload_orchestration(path=bundle).wait().run_once().wait(20).logs()) == "grows 1.0\n"
        new = client.upload_orchestration(path=bundle, refresh=True).wait()
        assert [each.rpartition("==")[2] for each in (*old.installed(), *new.installed())] == ["1.0", "2.0"]
        assert str(old.run_once().wait(20).logs()) == "grows 1.0\n"  # what was packaged before keeps its versions

    @pytest.mark.slow
    def test_lets_runs_in_the_old_environment_continue(
        self, open_client: OpenClient, folder: MakeFolder, waiting_program: str, gate: Path, index: Index
    ) -> None:
        name = _module(index.add("grows", "1.0"))
        client = open_client(base_image="clean", index_urls=[index.url], workers=2)
        bundle = folder({"main.py": f"{waiting_program}import {name}; print({name}.WORDS)", "requirements.txt": name})
        [run] = client.upload_orchestration(path=bundle).wait().run_once().last_runs()
        assert next(iter(run.logs(follow=True))).text == "begun"
        for version in ("2.0", "3.0"):  # the second builder removes what it can of the first's
            index.add("grows", version)
            client.upload_orchestration(path=bundle, refresh=True).wait()
        gate.touch()
        assert str(run.wait(20).logs()) == "begun\ndone\ngrows 1.0\n"

    def test_takes_true_or_false(self, client: orchlite.Client, folder: MakeFolder) -> None:
        with pytest.raises(orchlite.BadArgument, match="refresh is of type str"):
            client.upload_orchestration(path=folder("print()"), refresh="yes")  # type: ignore[arg-type]


class TestReplacedPins:
    """A bundle that pins what cannot be installed gets the versions of a set."""

    def test_are_installed_together_and_said_line_by_line(self, open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
        one, other = index.add("one", "2.0"), index.add("other", "2.0")
        client = open_client(base_image="clean", index_urls=[index.url], replace_pins=[one, other])
        pinned = f"{_module(one)}==1.0".replace("_", "-")
        bundle = folder({"main.py": _SAYS.format(names=[_module(one), _module(other)]), "requirements.txt": pinned})
        orchestration = client.upload_orchestration(path=bundle).wait()
        assert str(orchestration.run_once().wait(20).logs()) == "one 2.0\nother 2.0\n"
        changes = [
            f"replace_pins: {pinned} is replaced by {one.replace('_', '-')}",
            f"replace_pins: {other.replace('_', '-')} is added, because the versions of the set belong together",
        ]
        assert orchestration.warnings() == changes
        assert str(orchestration.task().last_runs()[0].logs()).splitlines()[:2] == changes

    def test_are_those_of_the_upload_if_it_names_some(self, open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
        older, newer = index.add("one", "1.0"), index.add("one", "2.0")
        client = open_client(base_image="clean", index_urls=[index.url])
        bundle = folder({"main.py": _SAYS.format(names=[_module(older)]), "requirements.txt": older})
        as_pinned = client.upload_orchestration(path=bundle)
        replaced = client.upload_orchestration(path=bundle, replace_pins=[newer], base_image=[older], reuse=True).wait()
        assert [str(each.wait().run_once().wait(20).logs()) for each in (as_pinned, replaced)] == ["one 1.0\n", "one 2.0\n"]

    @pytest.mark.slow
    def test_are_part_of_what_is_used_again(self, open_client: OpenClient, folder: MakeFolder, index: Index) -> None:
        older, newer = index.add("one", "1.0"), index.add("one", "2.0")
        bundle = folder({"main.py": _SAYS.format(names=[_module(older)]), "requirements.txt": older})
        sets: list[list[str]] = [[newer], [], [newer], []]
        clients = [open_client(base_image="clean", index_urls=[index.url], replace_pins=pins) for pins in sets]
        assert [str(client.run(bundle).logs()) for client in clients] == ["one 2.0\n", "one 1.0\n"] * 2
        assert len(clients[0].list_orchestrations()) == 2
