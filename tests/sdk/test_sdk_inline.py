"""Running a program inside this process as a task run would see the world, and leaving no trace of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchlite.core.errors import BadArgument, NotInTask
from orchlite.core.task_context import in_task, task_args
from orchlite.sdk.inline import inline_task, run_program


def program(folder: Path, text: str, name: str = "main.py") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def surroundings() -> dict[str, Any]:
    """Everything that running a program inline has to put back."""
    return {
        "environment": dict(os.environ),
        "path": (id(sys.path), list(sys.path)),
        "argv": (id(sys.argv), list(sys.argv)),
        "hooks": (id(sys.meta_path), list(sys.meta_path)),
        "folder": Path.cwd(),
        "wallaroo": {name: id(module) for name, module in sys.modules.items() if name.partition(".")[0] == "wallaroo"},
        "main": id(sys.modules["__main__"]),
    }


def test_inside_the_block_this_process_is_a_task_run() -> None:
    with inline_task({"rows": 3}):
        assert (in_task(), task_args()) == (True, {"rows": 3})


def test_without_arguments_there_are_none() -> None:
    with inline_task():
        assert task_args() == {}


def test_after_the_block_it_is_none_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WALLAROO_TASK_ID", raising=False)
    with inline_task({"rows": 3}) as folder:
        assert (folder / "arguments.json").exists()
    assert not in_task()
    assert not folder.exists()
    with pytest.raises(NotInTask):
        task_args()


def test_variables_are_added_for_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "north")
    with inline_task(env={"REGION": "south", "COLOUR": "red"}):
        assert (os.environ["REGION"], os.environ["COLOUR"]) == ("south", "red")
    assert (os.environ["REGION"], os.environ.get("COLOUR")) == ("north", None)


def test_blocks_nest() -> None:
    with inline_task({"level": 1}):
        with inline_task({"level": 2}):
            assert task_args() == {"level": 2}
        assert task_args() == {"level": 1}


@pytest.mark.parametrize("arguments", [{"a": {1, 2}}, {"a": float("nan")}, ["a"]], ids=["set", "NaN", "list"])
def test_arguments_that_are_no_json_object_are_refused_and_change_nothing(arguments: Mapping[str, Any]) -> None:
    before = surroundings()
    with pytest.raises(BadArgument), inline_task(arguments):
        pytest.fail("the block ran")
    assert surroundings() == before


def test_the_program_sees_what_python_would_show_it(tmp_path: Path) -> None:
    main = program(tmp_path, "import sys\nseen = (__name__, __file__, sys.argv, sys.path[0])")
    with inline_task():
        names = run_program(main, ["--fast", "x"])
    assert names["seen"] == ("__main__", str(main), [str(main), "--fast", "x"], str(tmp_path))


def test_the_program_finds_wallaroo_and_the_modules_beside_it(tmp_path: Path) -> None:
    program(tmp_path, "factor = 7", "beside_it.py")
    main = program(tmp_path, "import wallaroo, beside_it\nresult = wallaroo.Client().task_args()['rows'] * beside_it.factor")
    with inline_task({"rows": 3}):
        assert run_program(main)["result"] == 21


def test_a_linked_program_imports_what_lies_beside_its_real_file(tmp_path: Path) -> None:
    program(tmp_path / "real", "factor = 7", "beside_it.py")
    main = program(tmp_path / "real", "import beside_it\nresult = beside_it.factor")
    link = tmp_path / "link.py"
    link.symlink_to(main)
    with inline_task():
        assert run_program(link)["result"] == 7


def test_two_programs_do_not_share_modules_of_one_name(tmp_path: Path) -> None:
    results = []
    for factor in (7, 8):
        folder = tmp_path / str(factor)
        program(folder, f"factor = {factor}", "beside_it.py")
        with inline_task():
            results.append(run_program(program(folder, "import beside_it\nresult = beside_it.factor"))["result"])
    assert results == [7, 8]


def test_a_package_of_the_program_is_forgotten_with_all_its_modules(tmp_path: Path) -> None:
    program(tmp_path / "inline_parts", "", "__init__.py")
    program(tmp_path / "inline_parts", "", "one.py")
    with inline_task():
        run_program(program(tmp_path, "import inline_parts.one, json"))
    assert not [name for name in sys.modules if name.startswith("inline_parts")]
    assert "json" in sys.modules


RUDE = """
import os, sys, wallaroo, wallaroo.pipeline
os.environ.clear()
os.environ["LEFT"] = "behind"
sys.path = ["/nowhere"]
sys.argv.append("more")
sys.meta_path.reverse()
os.chdir("/")
"""


@pytest.mark.parametrize(
    ("end", "raised"),
    [("", None), ("raise ValueError('x')", ValueError), ("sys.exit(3)", SystemExit), ("raise KeyboardInterrupt", KeyboardInterrupt)],
    ids=["normally", "error", "exit", "interrupt"],
)
def test_everything_is_put_back_however_the_program_ends(tmp_path: Path, end: str, raised: type[BaseException] | None) -> None:
    main = program(tmp_path, RUDE + end)
    before = surroundings()
    caught = None
    try:
        with inline_task():
            run_program(main)
    except BaseException as error:
        caught = type(error)
    assert caught is raised
    assert surroundings() == before


def test_an_sdk_that_is_installed_gives_way_in_the_block_and_is_back_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "wallaroo", "kind = 'installed'", "__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wallaroo", raising=False)
    import wallaroo as installed

    with inline_task():
        import wallaroo as inside

        assert hasattr(inside, "__orchlite__")
    import wallaroo as afterwards

    assert afterwards is installed
    assert installed.kind == "installed"
    monkeypatch.delitem(sys.modules, "wallaroo")
