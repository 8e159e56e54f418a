"""The verbs `init`, `check` and `pack`: bundles before they are uploaded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchlite.cli.errors import REFUSED, SUCCESS, error_json
from orchlite.cli.language import spelled
from orchlite.cli.options import Verb, absolute_path, common_options
from orchlite.cli.output import Output
from orchlite.cli.run_options import ClientSettings, bundle_options, image_options
from orchlite.cli.upload import notable_warnings
from orchlite.core.errors import BadBundle, BadRequirement, Conflict, DeviceFailed, OrchliteError
from orchlite.core.sizes import size_text
from orchlite.core.text import counted, one_line

if TYPE_CHECKING:
    from orchlite.client.client import Client
    from orchlite.operations.upload import BundleCheck

_MAIN = '''"""Greets by name. Run it here with: orchlite run . --arg name=Ada"""

import wallaroo

wl = wallaroo.Client()
arguments = wl.task_args() if wl.in_task() else {}

print(f"Hello, {arguments.get('name', 'world')}!")
'''

_REQUIREMENTS = """# What main.py imports, one requirement per line, with its version: requests==2.32.3
# The module `wallaroo` is always available.
"""

_TEST = '''"""Runs the orchestration in its own environment and process, as orchlite will. Start it with: pytest

Install that with `pip install pytest`. orchlite provides the fixture `run_orchestration`.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def test_greets_by_name(run_orchestration):
    run = run_orchestration(FOLDER, {"name": "Ada"}).raise_for_failure()
    assert "Hello, Ada!" in run.logs()
'''

_FILES = {"main.py": _MAIN, "requirements.txt": _REQUIREMENTS, "test_main.py": _TEST}


@click.command(cls=Verb, short_help="Create an orchestration and its test.")
@click.argument("name", type=click.Path(path_type=Path))
def init(name: Path) -> None:
    """Create the folder NAME with a working orchestration and its test."""
    out = common_options().output()
    folder = absolute_path(name)
    shown = _from_here(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Conflict(f"The folder {shown!r} is not empty.", hint="Choose another name.", path=str(folder))
        for file, text in _FILES.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeviceFailed(f"The folder {shown!r} cannot be created: {error.strerror}.") from error
    if out.as_json:
        out.json({"path": str(folder), "files": sorted(_FILES)})
        return
    out.line(f"created {shown}: {', '.join(sorted(_FILES))}")
    out.note(f"try it: `{common_options().command('run', shown, '--arg', 'name=Ada')}`")


def _from_here(path: Path) -> str:
    """Return the path relative to the working folder if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) and path != here else path)


@click.command(cls=Verb, anywhere=True, short_help="Check a bundle without uploading it.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@bundle_options
@image_options
def check(path: Path, exclude: tuple[str, ...], images: ClientSettings) -> int:
    """Check PATH, a folder or a ZIP, as an upload would, and store nothing. Exits with 2 if an upload would be refused.

    Nothing is installed. Imports are compared with the environment if it exists already, else with what is certain of it.
    """
    out = common_options().output()
    try:
        with out.busy(f"checking {path}"), _temporary_client(images) as client:
            found = _checked(client, path, exclude)
    except (BadBundle, BadRequirement) as error:
        _print_refused(out, error)
        return REFUSED
    _print_accepted(out, found)
    return SUCCESS


@click.command(cls=Verb, anywhere=True, short_help="Pack a folder into a ZIP.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="ZIP to write.  [default: FOLDER.zip]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@bundle_options
def pack(folder: Path, output: Path | None, force: bool, exclude: tuple[str, ...]) -> None:
    """Check FOLDER and pack it into a ZIP. The same files always give the same bytes."""
    out = common_options().output()
    folder = absolute_path(folder)
    target = absolute_path(output or Path(f"{folder.name}.zip"))
    if target.is_dir():
        target /= f"{folder.name}.zip"
    if target.exists() and not force:
        raise Conflict(f"{str(target)!r} already exists.", hint="--force replaces it, --output names another.", path=str(target))
    with out.busy(f"packing {folder}"), _temporary_client({}) as client:
        orchestration = client.upload_orchestration(path=folder, exclude=exclude)
        orchestration.download(target, overwrite=force)
        warnings, sha = orchestration.warnings(), orchestration.sha()
    for warning in notable_warnings(warnings):
        out.note(f"warning: {one_line(warning)}")
    if out.as_json:
        out.json({"path": str(target), "sha": sha, "size_bytes": target.stat().st_size, "warnings": warnings})
    else:
        out.line(f"{target} ({size_text(target.stat().st_size)}, SHA-256 {sha})")


def _temporary_client(images: ClientSettings) -> Client:
    """Return a client of a temporary store in which nothing is installed or run."""
    from orchlite.client.client import Client
    from orchlite.testing import ManualClock, StubProcess

    settings = {name: value for name, value in images.items() if value is not None} | {"limits": common_options().client_limits()}
    return Client.temporary(clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), process=StubProcess(), **settings)


def _checked(client: Client, path: Path, exclude: tuple[str, ...]) -> BundleCheck:
    from orchlite.client.bundle_source import bundle_path, file_name_of
    from orchlite.client.client import engine_of
    from orchlite.operations import upload

    source = bundle_path(path)
    workspace_id = client.get_current_workspace().id()
    return upload.check(engine_of(client).context, upload.Upload(source, workspace_id, None, file_name_of(source), exclude))


def _print_accepted(out: Output, found: BundleCheck) -> None:
    if out.as_json:
        facts = {"entrypoint": found.entrypoint, "requirements": found.requirements, "sha": found.sha}
        out.json({"accepted": True, **facts, "warnings": found.warnings, "error": None})
        return
    rows = [("ok", "program", found.entrypoint)]
    rows += [("ok", "requirement", line) for line in found.requirements] or [("ok", "requirements", "none")]
    rows += [("warning", "", warning) for warning in found.warnings]
    out.table(("", "what", "words"), rows, wraps=True)
    out.note(f"it would be accepted, with {counted(len(found.warnings), 'warning')}" if found.warnings else "it would be accepted")


def _print_refused(out: Output, error: OrchliteError) -> None:
    if out.as_json:
        out.json({"accepted": False, "entrypoint": None, "requirements": [], "sha": None, "warnings": [], "error": error_json(error)})
        return
    what = "requirement" if isinstance(error, BadRequirement) else str(error.details.get("entry", "bundle"))
    rows = [("refused", what, spelled(error.message))]
    if hint := spelled(error.hint or ""):
        rows.append(("", "way out", hint))
    out.table(("", "what", "words"), rows, wraps=True)
    out.note("it would be refused")
