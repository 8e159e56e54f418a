"""The base image of an orchestration, what a run sees below its requirements: `host`, `clean`, or a list of requirements. Pure rules.

A list is stored as JSON text, also if it was chosen by the name of a set, the two words as they are. Its lines are installed into one
environment together with the bundle's requirements, and the bundle wins: if it requires a package itself, the base image's line for that
package is left out.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.environments import pin_sets
from orchlite.environments.requirement_lists import NAME, checked_lines, packages

HOST, CLEAN = "host", "clean"

_ARGUMENT = Argument("base_image")
_HINT = f"It takes {', '.join(map(repr, (HOST, CLEAN, *pin_sets.NAMES)))} or a list of requirements: ['numpy==2.1.0', 'pandas']."
_UNPINNED = rf"{NAME}(?:\[[^\]]*\])?"


def checked_base_image(value: object) -> str:
    """Return a base image as it is stored; the name of a set becomes its list for this interpreter, an empty list `clean`.

    Raises:
        BadArgument: the value is not a base image, or the set has no versions for this Python. If a line of a list is refused,
            `details["line"]` is its number, counted from 1.
    """
    if isinstance(value, str) and value in pin_sets.NAMES:
        return json.dumps(pin_sets.named(value, _ARGUMENT).lines)
    if isinstance(value, str):
        if value not in (HOST, CLEAN):
            raise BadArgument(_ARGUMENT + f" is {value!r:.80}.", hint=_HINT, argument=_ARGUMENT)
        return value
    lines = checked_lines(value, _ARGUMENT, _HINT)
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


@lru_cache(maxsize=16)  # every run asks, and a process has few orchestrations in use at a time
def _merged(base: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    from orchlite.environments.requirements import parse_requirements

    own_packages = {name for line in own for name in packages(line)}
    kept = [line for line in base if own_packages.isdisjoint(packages(line, ignore_marker=True))]
    # Parsed as one file, in which the bundle's options come later and win.
    return parse_requirements("\n".join([*kept, *own]).encode()).lines
