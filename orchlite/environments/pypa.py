"""The rules for names, versions and requirements of Python packages: the library `packaging`, of which this is the only importer.

The in-task copy of orchlite has a copy of the library, `orchlite._packaging`, since an environment need not have one installed. Importing
this module takes tens of milliseconds, so import it inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["InvalidRequirement", "InvalidVersion", "Requirement", "Specifier", "Version", "applies", "canonicalize_name"]

if TYPE_CHECKING:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import Specifier
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version
else:
    from importlib import import_module
    from importlib.util import find_spec

    _LIBRARY = "orchlite._packaging" if find_spec("orchlite._packaging") else "packaging"
    _requirements, _specifiers, _utils, _version = (
        import_module(f"{_LIBRARY}.{name}") for name in ("requirements", "specifiers", "utils", "version")
    )
    InvalidRequirement, Requirement = _requirements.InvalidRequirement, _requirements.Requirement
    InvalidVersion, Version = _version.InvalidVersion, _version.Version
    Specifier, canonicalize_name = _specifiers.Specifier, _utils.canonicalize_name


def applies(requirement: Requirement) -> bool:
    """Return whether a requirement is for this interpreter, if no extra is asked for.

    True also if its marker compares what cannot be compared, such as `platform_machine ~= "x"`: the installer refuses that.
    """
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except (ValueError, LookupError):
        return True
