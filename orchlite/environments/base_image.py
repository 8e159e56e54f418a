"""What a run sees below its requirements: `host`, `clean`, or a list of requirements. Pure rules; nothing is looked up.

A list is stored as JSON text, the words as they are. Its lines are installed together with the bundle's requirements into one
environment, and the bundle wins: where it requires a package itself, the base's line for it is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from orchlite.core.errors import BadArgument, BadRequirement

HOST, CLEAN = "host", "clean"

_ARGUMENT = "base_image"
_HINT = "It takes 'host', 'clean' or a list of requirements: ['numpy==2.1.0', 'pandas']."
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_UNPINNED = rf"{_NAME}(?:\[[^\]]*\])?"
_FILE = r"https://[^?#\s]*/(?P<name>[^/?#\s]+?)-(?P<version>\d[^/?#\s-]*)(?:-[^/?#\s]*)?\.(?:whl|tar\.gz|zip)"


def checked_base_image(value: object) -> str:
    """A base image as it is stored; a list without requirements is `clean`.

    Raises:
        BadArgument: it is none; `details["line"]` is the refused line's number, counted from 1.
    """
    if isinstance(value, str):
        if value not in (HOST, CLEAN):
            raise BadArgument(f"{_ARGUMENT} is {value!r:.80}.", hint=_HINT, argument=_ARGUMENT)
        return value
    lines = _normalised(value)
    return json.dumps(lines) if lines else CLEAN


def needs(base_image: str, requirements: tuple[str, ...]) -> tuple[str, ...]:
    """What is to be installed for a bundle with these normalised requirements; they alone, unless the base image is a list."""
    return _together(_lines(base_image), requirements) if base_image.startswith("[") else requirements


def warnings(base_image: str) -> tuple[str, ...]:
    """What is worth telling about a stored base image: lines that may mean something else tomorrow."""
    return tuple(
        f"{_ARGUMENT}: {name} has no version, so that a later build may get another one. Write {name}==VERSION"
        for name in (line.partition(";")[0] for line in _lines(base_image))
        if re.fullmatch(_UNPINNED, name)
    )


def _lines(base_image: str) -> tuple[str, ...]:
    return tuple(json.loads(base_image)) if base_image.startswith("[") else ()


def _normalised(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise BadArgument(f"{_ARGUMENT} is a {type(value).__name__}.", hint=_HINT, argument=_ARGUMENT)
    from orchlite.environments.requirements import read_requirements

    lines = [line.strip() for line in value]
    for number, line in enumerate(lines, start=1):
        if len(line.splitlines()) > 1 or line.endswith("\\"):
            raise BadArgument(
                f"{_ARGUMENT}, line {number}, is more than one line.",
                hint="Write one requirement in each text.",
                argument=_ARGUMENT,
                line=number,
            )
    try:
        return read_requirements("\n".join(lines).encode(errors="surrogatepass"), name=_ARGUMENT).lines
    except BadRequirement as error:
        raise BadArgument(error.message, hint=error.hint, argument=_ARGUMENT, **error.details) from None


@lru_cache(maxsize=16)  # every run asks, and one process has few orchestrations at work
def _together(base: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    from orchlite.environments.requirements import read_requirements

    taken = {name for line in own for name in _package(line)}
    kept = [line for line in base if taken.isdisjoint(_package(line, whatever_applies=True))]
    # Read as one file: of options, too, the bundle's are the later ones, and win.
    return read_requirements("\n".join([*kept, *own]).encode()).lines


def _package(line: str, *, whatever_applies: bool = False) -> Iterator[str]:
    """The package that a normalised line requires of this interpreter, as far as the line names it; nothing for an option."""
    from orchlite.environments.pypa import Requirement, canonicalize_name

    text = re.split(r"\s--hash=", line, maxsplit=1)[0]
    if text.startswith("-"):
        return
    if found := re.match(_FILE, text):
        name, marker = found["name"], text.partition(" ; ")[2]
        text = f"{name}; {marker}" if marker else name
    elif not re.match(_NAME, text) or text.startswith(("https:", "git+")):
        return
    requirement = Requirement(text)
    if whatever_applies or requirement.marker is None or requirement.marker.evaluate():
        yield canonicalize_name(requirement.name)
