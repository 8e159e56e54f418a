"""Fields that are misspelt: one that is nearly one of orchlite's own is refused, so that it is not ignored in silence.

The platform's clients may send fields that orchlite does not know, now or in later versions. So what is near one of the platform's fields
passes, and so does everything that its SDKs send.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from fastapi import Depends, Request
from pydantic import BaseModel

from orchlite.core.errors import BadArgument
from orchlite.rest.errors import HTTPError

_PLATFORM = ("orch_id", "workspace_id", "json", "name", "debug", "timeout", "schedule")
_SDK = re.compile(r"python-httpx/|python-requests/|WallarooSDK/")
"""What the SDKs call themselves: the names of the libraries that they use, or their own."""
_SIMILAR = 0.8


def refuse_misspelt(model: type[BaseModel]) -> Any:
    """Return a dependency of FastAPI's that refuses, with `HTTPError`, a field that is nearly one of orchlite's own in `model`."""
    ours = sorted({field.alias or name for name, field in model.model_fields.items()}.difference(_PLATFORM))

    async def check(request: Request) -> None:
        if _SDK.match(request.headers.get("user-agent", "")):
            return
        body = await request.json()
        for name in body if isinstance(body, dict) else ():
            meant = get_close_matches(name, ours, 1, _SIMILAR)
            if meant and name not in ours and not get_close_matches(name, _PLATFORM, 1, _SIMILAR):
                raise HTTPError(BadArgument(f"{name!r:.80} is no field of this request.", hint=f"Use {meant[0]}.", argument=f"{name:.80}"))

    return Depends(check)
