"""The `wallaroo` module in a bare interpreter, beside copies of the modules it needs, as in an environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import orchlite

PACKAGE = Path(orchlite.__file__).parent
NEEDED = ("__init__.py", "core/__init__.py", "core/version.py", "core/errors.py", "core/task_context.py")
HEAVY = {
    "asyncio", "collections", "ctypes", "dataclasses", "enum", "functools", "importlib", "json", "logging", "pathlib", "re", "runpy",
    "sqlite3", "subprocess", "tempfile", "threading", "typing", "urllib", "warnings", "zipfile",
}  # fmt: skip

Python = Callable[..., str]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "orchlite" / "core").mkdir(parents=True)
    for name in NEEDED:
        shutil.copy(PACKAGE / name, folder / "orchlite" / name)
    shutil.copytree(PACKAGE / "sdk" / "wallaroo", folder / "wallaroo", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def python(modules: Path, tmp_path: Path) -> Python:
    """Run code in a bare interpreter of its own that has the modules, and return what it prints."""

    def run(code: str, **env: str) -> str:
        command = [sys.executable, "-I", "-S", "-c", f"import sys\nsys.path.insert(0, {str(modules)!r})\n{code}"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WALLAROO_", "ORCHLITE_"))}
        done = subprocess.run(command, env={**kept, **env}, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def loaded(python: Python, code: str, **env: str) -> set[str]:
    """Return what `code` made the interpreter import."""
    report = f"before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    return set(python(report, **env).split())


def test_importing_it_loads_nothing_heavy(python: Python) -> None:
    assert loaded(python, "import wallaroo") & HEAVY == set()


def test_importing_it_does_not_load_orchlite_either(python: Python) -> None:
    assert not any(name.startswith("orchlite") for name in loaded(python, "import wallaroo"))


def test_a_client_reads_no_table_of_names_until_one_that_is_absent_is_looked_up(python: Python) -> None:
    code = "import wallaroo\nclient = wallaroo.Client()\nclient.in_task()"
    assert "wallaroo._surface" not in loaded(python, code)
    assert "wallaroo._surface" in loaded(python, f"{code}\nclient.list_tags")
    assert "wallaroo._surface" in loaded(python, f"{code}\nwallaroo.Client.list_tags")


def test_a_name_that_is_emulated_needs_no_placeholders(python: Python) -> None:
    code = "import wallaroo\nfrom wallaroo.object import EntityNotFoundError\nwallaroo.Client()"
    assert "wallaroo._absent" not in loaded(python, code)
    assert "wallaroo._absent" in loaded(python, f"{code}\nwallaroo.tag.Tag")


def test_a_client_lists_what_is_absent_among_its_names(python: Python) -> None:
    names = python("import wallaroo\nprint(*dir(wallaroo.Client))").split()
    assert {"list_tags", "infer_nothing", "list_workspaces"} & set(names) == {"list_tags", "list_workspaces"}
    assert len(names) == len(set(names))


def test_what_fails_in_a_property_of_a_subclass_is_said(python: Python) -> None:
    code = "import wallaroo\nclass Mine(wallaroo.Client):\n    size = property(lambda self: None.size)\n"
    assert "'NoneType' object has no attribute 'size'" in python(f"{code}try: Mine().size\nexcept AttributeError as error: print(error)")


def test_asking_whether_this_is_a_task_reads_no_json(python: Python) -> None:
    names = loaded(python, "import wallaroo\nassert wallaroo.in_task()", WALLAROO_TASK_ID="5d4a")
    assert "json" not in names
    assert "orchlite.core.errors" not in names


def test_everything_the_module_needs_of_orchlite_is_a_few_files_of_the_standard_library(python: Python, tmp_path: Path) -> None:
    (tmp_path / "arguments.json").write_text("{}")
    code = "import wallaroo\nwallaroo.Client().task_args()\nwallaroo.__orchlite__\nwallaroo.tag.Tag"
    names = loaded(python, code, WALLAROO_TASK_ID="5d4a", ORCHLITE_RUN_FOLDER=str(tmp_path))
    assert {name for name in names if name.startswith("orchlite")} == {
        "orchlite",
        "orchlite.core",
        "orchlite.core.version",
        "orchlite.core.task_context",
    }


@pytest.mark.parametrize("source", ["wallaroo", "wallaroo.Client()"], ids=["module", "client"])
def test_a_task_learns_that_it_is_one_and_its_arguments(python: Python, tmp_path: Path, source: str) -> None:
    (tmp_path / "arguments.json").write_text('{"rows": 3}')
    code = f"import wallaroo\nit = {source}\nprint(it.in_task(), it.task_args())"
    assert python(code, WALLAROO_TASK_ID="5d4a", ORCHLITE_RUN_FOLDER=str(tmp_path)) == "True {'rows': 3}\n"


@pytest.mark.parametrize("source", ["wallaroo", "wallaroo.Client()"], ids=["module", "client"])
def test_outside_a_task_there_are_no_arguments_as_with_the_sdk(python: Python, source: str) -> None:
    code = (
        f"import wallaroo\nit = {source}\ntry: it.task_args()\nexcept FileNotFoundError as error: print(it.in_task(), type(error).__name__)"
    )
    assert python(code) == "False NotInTask\n"


def test_the_versions_are_the_sdks_and_orchlites(python: Python) -> None:
    code = "import wallaroo, wallaroo.version\nprint(wallaroo.__version__, wallaroo.version.__version__, wallaroo.__orchlite__)"
    assert python(code) == f"2026.1.3 2026.1.3 {orchlite.__version__}\n"


@pytest.mark.parametrize(
    "statement",
    [
        "import wallaroo.pipeline",
        "import wallaroo.assays_v2.scheduling",
        "import wallaroo.wallaroo_ml_ops_api_client.api.task.run_once",
        "from wallaroo import Client, DeploymentConfigBuilder, in_task, task_args",
        "from wallaroo import *; Client, DeploymentConfigBuilder",
        "from wallaroo.deployment_config import DeploymentConfigBuilder",
        "from wallaroo.framework import Framework",
        "from wallaroo.engine_config import Architecture, Acceleration",
        "from wallaroo.object import EntityNotFoundError, RequiredAttributeMissing",
        "from wallaroo.client import Client, Tag, DEFAULT_RECORDS_LIMIT",
        "from wallaroo.assays_v2.assay_v2_builder import V1Metric",
        "from wallaroo.auth import logout",
        "import wallaroo as w; w.deployment_config.DeploymentConfigBuilder, w.assays_v2.scheduling.Scheduling",
    ],
)
def test_what_a_program_imports_of_the_sdk_is_there_in_silence(python: Python, statement: str) -> None:
    assert python(statement + "\nsys.stderr.flush()") == ""


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("from wallaroo import nonsense", "ImportError"),
        ("from wallaroo.pipeline import nonsense", "ImportError"),
        ("import wallaroo.nonsense", "ModuleNotFoundError"),
        ("import wallaroo._nonsense", "ModuleNotFoundError"),
        ("import wallaroo.pipeline.nonsense", "ModuleNotFoundError"),
        ("import wallaroo; wallaroo.nonsense", "AttributeError"),
        ("import wallaroo; wallaroo._nonsense", "AttributeError"),
        ("import wallaroo; wallaroo.pipeline.nonsense", "AttributeError"),
        ("import wallaroo; wallaroo.Client.nonsense", "AttributeError"),
    ],
)
def test_what_the_sdk_lacks_fails_as_in_any_module(python: Python, statement: str, kind: str) -> None:
    code = f"try: exec({statement!r})\nexcept Exception as error: print(type(error).__name__, 'nonsense' in str(error))"
    assert python(code) == f"{kind} True\n"


def test_the_two_ways_to_a_name_lead_to_one_thing(python: Python) -> None:
    code = """
import wallaroo, wallaroo.client
from wallaroo.tag import Tag
print(wallaroo.Client is wallaroo.client.Client, wallaroo.client.Tag is Tag is wallaroo.tag.Tag)
"""
    assert python(code) == "True True\n"


def test_reloading_it_adds_no_second_import_hook(python: Python) -> None:
    code = "import wallaroo, importlib\nbefore = len(sys.meta_path)\nimportlib.reload(wallaroo)\nprint(len(sys.meta_path) - before)"
    assert python(code) == "0\n"


def test_listing_its_names_shows_what_the_sdk_has(python: Python) -> None:
    listed = json.loads(python("import wallaroo, json\nprint(json.dumps([dir(wallaroo), dir(wallaroo.framework)]))"))
    assert {"Client", "DeploymentConfigBuilder", "framework", "pipeline"} <= set(listed[0])
    assert {"Framework", "CustomConfig"} <= set(listed[1])
    assert "" not in listed[0]
