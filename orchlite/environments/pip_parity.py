"""Whether what uv has installed is what pip would install: `installer="auto"` promises pip's result.

uv ignores upper bounds of Requires-Python, and takes a pre-release where nothing else fits.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path


def difference(site_packages: Iterable[Path], requirements: tuple[str, ...]) -> str | None:
    """Return what pip would not have installed for these normalised lines, or None if nothing is known."""
    for distribution in distributions(path=[str(folder) for folder in site_packages]):
        if reason := _objection(distribution, requirements):
            return reason
    return None


def _objection(distribution: Distribution, requirements: tuple[str, ...]) -> str | None:
    from orchlite.environments.pypa import InvalidVersion, Version, canonicalize_name

    name, version = distribution.name, distribution.version
    [needed] = distribution.metadata.get_all("Requires-Python") or [None]
    if needed and not _allows(needed):
        return f"{name} {version} needs Python {needed}"
    try:
        is_prerelease = Version(version).is_prerelease
    except InvalidVersion:
        return None
    # Not by rules of its own about which lines ask for one: pip knows.
    named = rf"{re.escape(canonicalize_name(name))}(?:\[[^\]]*\])?===?{re.escape(version)}(?![\w.])"
    if is_prerelease and "--pre" not in requirements and not any(re.match(named, line) for line in requirements):
        return f"{name} {version} is a pre-release"
    return None


def _allows(needed: str) -> bool:
    from orchlite.environments.pypa import InvalidRequirement, Requirement

    try:
        return Requirement(f"python{needed}").specifier.contains(platform.python_version(), prereleases=True)
    except InvalidRequirement:
        return True  # pip ignores it, too
