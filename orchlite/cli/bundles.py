"""The verbs about bundles before anything is run: `init`, `check`, `pack`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.errors import DONE, REFUSED, refusal_shape
from orchlite.cli.language import spelled
from orchlite.cli.options import Verb, setting, whole_path
from orchlite.cli.output import Output, bytes_text, counted, one_line
from orchlite.cli.run_options import takes_exclude
from orchlite.cli.upload import worth_telling
from orchlite.core.errors import BadBundle, BadRequirement, Conflict, DeviceFailed, OrchliteError

if TYPE_CHECKING:
    from orchlite.client.orchestration import Orchestration

_MAIN = '''"""Greets whoever the arguments name. Run it here with: orchlite run . --arg name=Ada"""

import wallaroo

wl = wallaroo.Client()
arguments = wl.task_args() if wl.in_task() else {}

print(f"Hello, {arguments.get('name', 'world')}!")
'''

_REQUIREMENTS = """# What main.py needs, one requirement a line, with its version: requests==2.32.3
# `wallaroo` is always there.
"""

_TEST = '''"""Runs the orchestration as it will be run, in an environment and a process of its own. Try it with: pytest

`pip install pytest` brings that; the fixture `run_orchestration` comes with orchlite.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def test_it_greets_whoever_is_named(run_orchestration):
    run = run_orchestration(FOLDER, {"name": "Ada"}).raise_for_failure()
    assert "Hello, Ada!" in run.logs()
'''

_FILES = {"main.py": _MAIN, "requirements.txt": _REQUIREMENTS, "test_main.py": _TEST}


@click.command(cls=Verb, short_help="Make a folder with an orchestration that works, and a test.")
@click.argument("name", type=click.Path(path_type=Path))
def init(name: Path) -> None:
    """Make a folder NAME with an orchestration that works, and a test of it."""
    out = setting().output()
    folder = whole_path(name)
    shown = _from_here(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict(f"The folder {shown!r} is not empty.", hint="Choose another name.", path=str(folder))
        for file, text in _FILES.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeviceFailed(f"The folder {shown!r} cannot be made: {error.strerror}.") from error
    if out.as_json:
        out.json({"path": str(folder), "files": sorted(_FILES)})
        return
    out.line(f"Made {shown}: {', '.join(sorted(_FILES))}")
    out.note(f"try it: `{setting().command('run', shown, '--arg', 'name=Ada')}`")


def _from_here(path: Path) -> str:
    """The path as one would write it here: relative where it lies below the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) and path != here else path)


@click.command(cls=Verb, short_help="Say what an upload would say.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@takes_exclude
def check(path: Path, exclude: tuple[str, ...]) -> int:
    """Say what an upload of PATH, a folder or a ZIP, would say; nothing is stored. Ends with 2 where it would be refused."""
    out = setting().output()
    try:
        with out.busy(f"checking {path}"), _looked_at(path, exclude) as orchestration:
            _say_accepted(out, orchestration)
    except (BadBundle, BadRequirement) as error:
        _say_refused(out, error)
        return REFUSED
    return DONE


@click.command(cls=Verb, short_help="Pack a folder into a ZIP.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="The ZIP to write; FOLDER.zip by default.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@takes_exclude
def pack(folder: Path, output: Path | None, force: bool, exclude: tuple[str, ...]) -> None:
    """Pack FOLDER into a ZIP, the same bytes each time, and check it."""
    out = setting().output()
    folder = whole_path(folder)
    target = whole_path(output or Path(f"{folder.name}.zip"))
    if target.is_dir():
        target /= f"{folder.name}.zip"
    if target.exists() and not force:
        raise Conflict(f"{str(target)!r} exists.", hint="--force replaces it, --output names another.", path=str(target))
    with out.busy(f"packing {folder}"), _looked_at(folder, exclude) as orchestration:
        orchestration.download(target)
        warnings, sha = orchestration.warnings(), orchestration.sha()
    for warning in worth_telling(warnings):
        out.note(f"warning: {one_line(warning)}")
    if out.as_json:
        out.json({"path": str(target), "sha": sha, "size_bytes": target.stat().st_size, "warnings": warnings})
    else:
        out.line(f"{target} ({bytes_text(target.stat().st_size)}, SHA-256 {sha})")


@contextmanager
def _looked_at(path: Path, exclude: tuple[str, ...]) -> Iterator[Orchestration]:
    """An upload to a store that is gone afterwards, and that installs and runs nothing."""
    from orchlite.client.client import Client
    from orchlite.testing import ManualClock, StubProcess

    with Client.temporary(clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), process=StubProcess()) as wl:
        yield wl.upload_orchestration(path=path, exclude=exclude)


def _say_accepted(out: Output, orchestration: Orchestration) -> None:
    warnings = orchestration.warnings()
    if out.as_json:
        facts = {"entrypoint": orchestration.entrypoint(), "requirements": orchestration.requirements(), "sha": orchestration.sha()}
        out.json({"accepted": True, **facts, "warnings": warnings, "error": None})
        return
    rows = [("ok", "program", orchestration.entrypoint())]
    rows += [("ok", "requirement", line) for line in orchestration.requirements()] or [("ok", "requirements", "none")]
    rows += [("warning", "", warning) for warning in warnings]
    out.table(("", "what", "words"), rows, wraps=True)
    out.note(f"it would be accepted, with {counted(len(warnings), 'warning')}" if warnings else "it would be accepted")


def _say_refused(out: Output, error: OrchliteError) -> None:
    if out.as_json:
        out.json({"accepted": False, "entrypoint": None, "requirements": [], "sha": None, "warnings": [], "error": refusal_shape(error)})
        return
    what = "requirement" if isinstance(error, BadRequirement) else str(error.details.get("entry", "bundle"))
    rows = [("refused", what, spelled(error.message))]
    if hint := spelled(error.hint or ""):
        rows.append(("", "way out", hint))
    out.table(("", "what", "words"), rows, wraps=True)
    out.note("it would be refused")
