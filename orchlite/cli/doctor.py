"""The verb `doctor`: whether this machine and the store can run things."""

from __future__ import annotations

import click

from orchlite.cli.errors import FAILED, SUCCESS
from orchlite.cli.language import spelled
from orchlite.cli.options import Verb, common_options


@click.command(cls=Verb, anywhere=True, short_help="Check this machine and the store.")
@click.option("--offline", is_flag=True, help="Do not contact the package index.")
@click.option("--quick", is_flag=True, help="Check a large store in seconds: not the bytes of bundles, nor the logs of runs.")
def doctor(offline: bool, quick: bool) -> int:
    """Check the interpreter, the installation, the store, environments, the installer, the package index, the clock and leftovers.

    Exits with 1 if something is bad.
    """
    from orchlite.client.doctor import BAD, Check, checks  # opens a store, which `--help` does not need

    out = common_options().output()
    found: list[Check] = []

    def show_progress(part: str, done: int, total: int) -> None:
        busy.update(f"checking the store: {part}" + (f", {done:,} of {total:,}" if total else ""))

    for name, check in checks(common_options().store_folder(), offline=offline, quick=quick, progress=show_progress).items():
        with out.busy(f"checking the {name}") as busy:
            found += [result._replace(words=spelled(result.words)) for result in check()]
    if out.as_json:
        out.json([result._asdict() for result in found])
    else:
        out.table(("", "what", "words"), [(result.state, result.name, result.words) for result in found], wraps=True)
    return FAILED if any(result.state == BAD for result in found) else SUCCESS
