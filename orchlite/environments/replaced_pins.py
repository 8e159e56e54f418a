"""Replacing the pins of a bundle, which have no wheels for this Python, by a set of pins that fit together. Pure rules.

Single pins are never replaced: pandas 1.5 with whatever numpy is newest fails at import. If the bundle excludes the set's version of any
package, all of its requirements for packages of the set are replaced, and the rest of the set is added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument
from orchlite.core.text import mask_credentials
from orchlite.environments import pin_sets
from orchlite.environments.requirement_lists import checked_lines, packages, without_hashes

_ARGUMENT = Argument("replace_pins")
_HINT = f"It takes {', '.join(map(repr, pin_sets.NAMES))} or a list of requirements: ['numpy==1.26.4', 'pandas==2.2.3']."
_PIN = r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?==[^\s,;*]+(?:\s--hash=\S+)*\Z"
_EXTRAS = r"[\w.-]+(?P<extras>\[[^\]]*\])"


class ReplacedPins(NamedTuple):
    """The requirements of a bundle after replacing."""

    lines: tuple[str, ...]
    changes: tuple[str, ...] = ()
    """A sentence for each requirement that was replaced or added."""


def checked_replace_pins(value: object) -> tuple[str, ...]:
    """Return the set as normalised lines, `NAME==VERSION` for each package; none for None or an empty list.

    The name of a set stands for its packages with compiled code: wheels of the others fit every Python.

    Raises:
        BadArgument: the value is not a set, or there is none for this Python. If a line of a list is refused, `details["line"]` is its
            number, counted from 1.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        if value not in pin_sets.NAMES:
            raise BadArgument(_ARGUMENT + f" is {value!r:.80}.", hint=_HINT, argument=_ARGUMENT)
        return pin_sets.named(value, _ARGUMENT).compiled
    lines = checked_lines(value, _ARGUMENT, _HINT)
    pinned = [found["name"] for line in lines if (found := re.match(_PIN, line))]
    if len({*pinned}) != len(lines):
        raise BadArgument(_ARGUMENT + " has a line that is not NAME==VERSION, or two for one package.", hint=_HINT, argument=_ARGUMENT)
    return lines


def replace_pins(requirements: Sequence[str], pins: Sequence[str]) -> ReplacedPins:
    """Return the normalised requirements of a bundle; if one excludes the set's version, with all for packages of the set replaced."""
    by_package = {name: pin for pin in pins for name in packages(pin)}
    replaced = {line: _with_extras(by_package[name], line) for line in requirements for name in packages(line) if name in by_package}
    if all(_allows(line, pin) for line, pin in replaced.items()):
        return ReplacedPins(tuple(requirements))
    there = {name for line in replaced for name in packages(line)}
    added = [pin for name, pin in by_package.items() if name not in there]
    changes = [f"{_shown(line)} is replaced by {_shown(pin)}" for line, pin in replaced.items() if line != pin]
    changes += [f"{_shown(pin)} is added, because the versions of the set belong together" for pin in added]
    options = [line for line in requirements if line.startswith("-")]
    lines = {*added, *(replaced.get(line, line) for line in requirements)}.difference(options)
    return ReplacedPins((*options, *sorted(lines)), tuple(f"{_ARGUMENT}: {change}" for change in changes))


def _allows(line: str, pin: str) -> bool:
    """Return whether the requirement is met by the version of the pin; no link is, since it is for one file."""
    from orchlite.environments.pypa import Requirement

    if "://" in line:
        return False
    version = without_hashes(pin).partition("==")[2]
    return Requirement(without_hashes(line)).specifier.contains(version, prereleases=True)


def _with_extras(pin: str, line: str) -> str:
    """Return the pin with the extras of the line that it replaces."""
    found = re.match(_EXTRAS, line)
    return re.sub(r"^[\w.-]+", rf"\g<0>{found['extras']}", pin) if found and not re.match(_EXTRAS, pin) else pin


def _shown(line: str) -> str:
    return mask_credentials(without_hashes(line))
