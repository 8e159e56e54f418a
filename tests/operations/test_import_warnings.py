"""Warnings of what a bundle imports and no requirement brings. The host is the interpreter of the tests, which has pytest."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import orchlite

OpenClient = Callable[..., orchlite.Client]
MakeFolder = Callable[..., Path]

_FROM_HOST = (
    f"comes from your interpreter, not from a requirement: pytest {version('pytest')} ('main.py', line 2). "
    "Add it to requirements.txt; on the base image 'clean' a run sees only what the requirements bring."
)
_FROM_NOWHERE = (
    "nothing brings no_such_module ('helper.py', line 1): it is not in the standard library, the bundle, the requirements or your "
    "interpreter. Add the package that has it to requirements.txt."
)
_FILES = {"main.py": "import json, helper, wallaroo\nimport pytest\n", "helper.py": "import no_such_module\n"}


def test_packaging_names_what_comes_from_the_host_and_what_nothing_brings(open_client: OpenClient, folder: MakeFolder) -> None:
    orchestration = open_client().upload_orchestration(path=folder(_FILES)).wait()
    assert orchestration.warnings() == [_FROM_HOST, _FROM_NOWHERE]
    assert f"warning: {_FROM_HOST}" in orchestration.task().wait().logs()


def test_without_the_host_what_it_has_is_missing(open_client: OpenClient, folder: MakeFolder) -> None:
    files = {"main.py": "import pytest, click\n", "other.py": "from pytest import mark\n"}
    [missing] = open_client(base_image="clean").upload_orchestration(path=folder(files)).wait().warnings()
    assert missing == (
        "nothing brings pytest ('main.py', line 1), click ('main.py', line 1): they are not in the standard library, the bundle or the "
        "requirements. Add the package that has each to requirements.txt."
    )


@pytest.mark.parametrize(
    "program",
    [
        "try:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None\n",
        "import sys\nsys.path.append('/opt/ours')\nimport no_such_module\n",
    ],
)
def test_nothing_is_said_of_what_a_program_can_do_without_or_may_find_elsewhere(
    open_client: OpenClient, folder: MakeFolder, program: str
) -> None:
    assert open_client().upload_orchestration(path=folder(program)).wait().warnings() == []
