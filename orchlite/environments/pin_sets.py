"""Named sets of pins that fit together, by the Pythons for which all of them have wheels. Pure rules.

`platform` is what the platform's own SDK pins since 2024, or for a newer Python the nearest versions with wheels; `platform-2023` are the
nearest to that year.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple

from orchlite.core.errors import BadArgument
from orchlite.core.hints import Argument


class PinSet(NamedTuple):
    """Versions that fit together, as requirement lines."""

    compiled: tuple[str, ...]
    """Packages with compiled code: each version has wheels for a few Pythons only."""
    others: tuple[str, ...]
    """Packages whose wheels fit every Python."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The whole set."""
        return (*self.compiled, *self.others)


_NUMPY_1_PANDAS_1 = PinSet(("numpy==1.23.5", "pandas==1.5.3", "pyarrow==12.0.1"), ("requests==2.31.0",))
_NUMPY_1_PANDAS_2 = PinSet(("numpy==1.26.0", "pandas==2.2.0", "pyarrow==14.0.1"), ("requests==2.32.3",))
_NUMPY_2_PANDAS_2 = PinSet(("numpy==2.2.6", "pandas==2.2.3", "pyarrow==19.0.1"), ("requests==2.32.3",))
_SETS = {
    "platform": {"3.11": _NUMPY_1_PANDAS_2, "3.12": _NUMPY_1_PANDAS_2, "3.13": _NUMPY_2_PANDAS_2},
    "platform-2023": {"3.11": _NUMPY_1_PANDAS_1},
}
NAMES = tuple(_SETS)
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
COMPILED = ("numpy", "pandas", "pyarrow")
"""The packages with compiled code of all sets."""


def named(name: str, argument: str, python: str = THIS_PYTHON) -> PinSet:
    """Return the set of this name, one of `NAMES`, for a Python such as `3.11`.

    Raises:
        BadArgument: there is none for this Python. The error names those that have one, and `argument`.
    """
    by_python = _SETS[name]
    if python in by_python:
        return by_python[python]
    others = " or ".join(f"{other!r}" for other in NAMES if python in _SETS[other])
    raise BadArgument(
        Argument(argument) + f" is {name!r}, which has no versions for this Python ({python}), only for {', '.join(by_python)}.",
        hint="Run orchlite with one of these, " + (f"take {others}, " if others else "") + "or write a list of requirements.",
        argument=argument,
        python=python,
        pythons=tuple(by_python),
    )


def nearest(pinned: Mapping[str, str], python: str) -> str | None:
    """Return the name of the set for `python` that fits these versions by package best, by their major versions.

    None: there is no set, or none with another version of one of these packages and compiled code.
    """
    found: dict[str, int] = {}
    for name in NAMES:
        if pins := _SETS[name].get(python):
            versions = dict(line.split("==") for line in pins.compiled)
            pairs = [(versions[package], version) for package, version in pinned.items() if package in versions]
            if any(own != other for own, other in pairs):
                found[name] = sum(_major(own) == _major(other) for own, other in pairs)
    return max(found, key=lambda name: found[name], default=None)


def _major(version: str) -> str:
    return version.partition(".")[0]
