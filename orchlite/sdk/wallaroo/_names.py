"""`wallaroo.utils`: the platform's rule for names."""

from __future__ import annotations

import re

from ._errors import InvalidNameError

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,62}(?<!-)")


def dns_compliant(name: str) -> bool:
    """Return whether the name is a letter followed by letters, digits and dashes, does not end with a dash, and has 63 at most."""
    return _NAME.fullmatch(name) is not None


def require_dns_compliance(name: str) -> None:
    """Check a name; see `dns_compliant`.

    Raises:
        wallaroo.object.InvalidNameError: the name is refused.
    """
    if not isinstance(name, str) or not dns_compliant(name):
        raise InvalidNameError(name, "must be DNS-compatible (ASCII alpha-numeric plus dash (-))")
