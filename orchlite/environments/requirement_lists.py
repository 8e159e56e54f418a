"""Arguments that are lists of requirements, and which package a line requires. Pure rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchlite.core.errors import BadArgument, BadRequirement
from orchlite.core.hints import Argument

NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_FILE = r"https://[^?#\s]*/(?P<name>[^/?#\s]+?)-\d[^/?#\s-]*(?:-[^/?#\s]*)?\.(?:whl|tar\.gz|zip)"


def checked_lines(value: object, argument: Argument, hint: str) -> tuple[str, ...]:
    """Return the normalised lines of a list of requirements, each a string of one line.

    Raises:
        BadArgument: the value is no such list, with `hint`; or a line is refused: `details["line"]` is its number, counted from 1.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise BadArgument(argument + f" is a {type(value).__name__}.", hint=hint, argument=argument)
    from orchlite.environments.requirements import parse_requirements

    lines = [line.strip() for line in value]
    for number, line in enumerate(lines, start=1):
        if len(line.splitlines()) > 1 or line.endswith("\\"):
            raise BadArgument(
                argument + f", line {number}, has more than one line.",
                hint="Write one requirement in each string.",
                argument=argument,
                line=number,
            )
    try:
        return parse_requirements("\n".join(lines).encode(errors="surrogatepass"), name=argument).lines
    except BadRequirement as error:
        raise BadArgument(error.message, hint=error.hint, argument=argument, **error.details) from None


def packages(line: str, *, ignore_marker: bool = False) -> Iterator[str]:
    """Yield the package that a normalised line requires on this interpreter; nothing for an option, or a URL that names no package."""
    from orchlite.environments.pypa import Requirement, applies, canonicalize_name

    text = without_hashes(line)
    if text.startswith("-"):
        return
    if found := re.match(_FILE, text):
        name, marker = found["name"], text.partition(" ; ")[2]
        text = f"{name}; {marker}" if marker else name
    elif not re.match(NAME, text) or text.startswith(("https:", "git+")):
        return
    requirement = Requirement(text)
    if ignore_marker or applies(requirement):
        yield canonicalize_name(requirement.name)


def without_hashes(line: str) -> str:
    """Return a normalised line without its `--hash` options."""
    return re.split(r"\s--hash=", line, maxsplit=1)[0]
