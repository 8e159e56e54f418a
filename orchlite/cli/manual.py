"""The verb `manual`: the pages that are installed with the package, in `orchlite/manual`.

The index, `README.md`, lists the topics in reading order, a line each: `- [topic](topic.md): summary`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orchlite.cli.options import Verb, common_options

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_TOPIC = re.compile(r"^- \[[\w -]+\]\(([\w-]+)\.md\): (.+)$", re.MULTILINE)


@click.command(cls=Verb, anywhere=True, short_help="Show a page of the manual.")
@click.argument("words", metavar="[TOPIC]", nargs=-1)
def manual(words: Sequence[str]) -> None:
    """Show the page of the manual about TOPIC; without it, list the topics.

    A terminal gets formatted text, through a pager if it is longer than the screen; a pipe gets Markdown.
    """
    out, topics = common_options().output(), _topics()
    if not words:
        rows = [{"topic": topic, "summary": summary} for topic, summary in topics.items()]
        out.json(rows) if out.as_json else out.table(("topic", "summary"), list(topics.items()), wraps=True)
        return
    topic = "-".join(words).lower().replace(" ", "-")
    if topic not in topics:
        raise click.UsageError(f"The manual has no page {' '.join(words)!r}. Its topics are: {', '.join(topics)}.")
    page = (_pages() / f"{topic}.md").read_text(encoding="utf-8")
    out.json({"topic": topic, "markdown": page}) if out.as_json else out.page(page)


def _topics() -> dict[str, str]:
    """The topics in reading order, each with its summary."""
    return dict(_TOPIC.findall((_pages() / "README.md").read_text(encoding="utf-8")))


def _pages() -> Traversable:
    from importlib.resources import files  # takes as long to import as a shell has for a completion

    return files("orchlite") / "manual"
