"""The account that everything in a store belongs to: the platform has users, a store has one."""

from __future__ import annotations

import os
from functools import cache

EMAIL = "orchlite@localhost"


@cache
def owner_id() -> str:
    """Return a UUID for this Unix account, always the same one."""
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(os.getuid())))
