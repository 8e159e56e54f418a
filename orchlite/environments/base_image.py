"""The base image of an orchestration, what a run sees below its requirements: `host`, `clean`, or a list of requirements. Pure rules.

A list is stored as JSON text, the two words as they are. Its lines are installed into one environment together with the bundle's
requirements, and the bundle wins: if it requires a package itself, the base image's line for that package is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from orchlite.core.errors import BadArgument, BadRequirement
from orchlite.core.hints import Argument

HOST, CLEAN = "host", "clean"

_ARGUMENT = Argument("base_image")
_HINT = "It takes 'host', 'clean' or a list of requirements: ['numpy==2.1.0', 'pandas']."
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_UNPINNED = rf"{_NAME}(?:\[[^\]]*\])?"
_FILE = r"https://[^?#\s]*/(?P<name>[^/?#\s]+?)-(?P<version>\d[^/?#\s-]*)(?:-[^/?#\s]*)?\.(?:whl|tar\.gz|zip)"


def checked_base_image(value: object) -> str:
    """Return a base image as it is stored; an empty list becomes `clean`.

    Raises:
        BadArgument: the value is not a base image. If a line of a list is refused, `details["line"]` is its number, counted from 1.
    """
    if isinstance(value, str):
        if value not in (HOST, CLEAN):
            raise BadArgument(_ARGUMENT + f" is {value!r:.80}.", hint=_HINT, argument=_ARGUMENT)
        return value
    lines = _normalised(value)
    return json.dumps(lines) if lines else CLEAN


def effective_requirements(base_image: str, requirements: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines to install for a bundle with these normalised requirements, merged with those of a base image that is a list.

    Raises:
        BadRequirement: together they are longer than a requirements file may be.
    """
    return _merged(_lines(base_image), requirements) if base_image.startswith("[") else requirements


def warnings(base_image: str) -> tuple[str, ...]:
    """Return a warning for each line of a stored base image that has no version."""
    return tuple(
        f"{_ARGUMENT}: {name} has no version, so that a later build may install another one. Write {name}==VERSION"
        for name in (line.partition(";")[0] for line in _lines(base_image))
        if re.fullmatch(_UNPINNED, name)
    )


def _lines(base_image: str) -> tuple[str, ...]:
    return tuple(json.loads(base_image)) if base_image.startswith("[") else ()


def _normalised(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise BadArgument(_ARGUMENT + f" is a {type(value).__name__}.", hint=_HINT, argument=_ARGUMENT)
    from orchlite.environments.requirements import parse_requirements

    lines = [line.strip() for line in value]
    for number, line in enumerate(lines, start=1):
        if len(line.splitlines()) > 1 or line.endswith("\\"):
            raise BadArgument(
                _ARGUMENT + f", line {number}, has more than one line.",
                hint="Write one requirement in each string.",
                argument=_ARGUMENT,
                line=number,
            )
    try:
        return parse_requirements("\n".join(lines).encode(errors="surrogatepass"), name=_ARGUMENT).lines
    except BadRequirement as error:
        raise BadArgument(error.message, hint=error.hint, argument=_ARGUMENT, **error.details) from None


@lru_cache(maxsize=16)  # every run asks, and a process has few orchestrations in use at a time
def _merged(base: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    from orchlite.environments.requirements import parse_requirements

    own_packages = {name for line in own for name in _package(line)}
    kept = [line for line in base if own_packages.isdisjoint(_package(line, ignore_marker=True))]
    # Parsed as one file, in which the bundle's options come later and win.
    return parse_requirements("\n".join([*kept, *own]).encode()).lines


def _package(line: str, *, ignore_marker: bool = False) -> Iterator[str]:
    """Yield the package that a normalised line requires on this interpreter; nothing for an option, or a URL that names no package."""
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
    if ignore_marker or requirement.marker is None or requirement.marker.evaluate():
        yield canonicalize_name(requirement.name)
