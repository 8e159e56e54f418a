"""Fields that are misspelt: one that is nearly one of orchlite's own is refused, so that it is not ignored in silence.

The platform's clients may send fields that orchlite does not know, now or in later versions. So what is near one of the platform's fields
passes, and so does everything that its SDKs send.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from fastapi import Request

from orchlite.core.errors import BadArgument
from orchlite.rest.errors import HTTPError
from orchlite.rest.request_models import RunScheduled

_PLATFORM = ("orch_id", "workspace_id", "json", "name", "debug", "timeout", "schedule")
_OURS = tuple({field.alias or name for name, field in RunScheduled.model_fields.items()}.difference(_PLATFORM))
_SDK = re.compile(r"python-httpx/|python-requests/|WallarooSDK/")
"""What the SDKs call themselves: the names of the libraries that they use, or their own."""
_SIMILAR = 0.8


async def refuse_misspelt(request: Request) -> None:
    """Refuse a request to run something one of whose fields is nearly one of orchlite's own; a dependency of FastAPI's.

    Raises:
        HTTPError: it has such a field.
    """
    body = await request.json()
    if isinstance(body, dict) and not _SDK.match(request.headers.get("user-agent", "")):
        for name in body:
            meant = get_close_matches(name, _OURS, 1, _SIMILAR)
            if meant and name not in _OURS and not get_close_matches(name, _PLATFORM, 1, _SIMILAR):
                error = BadArgument(f"{name!r:.80} is no field of this request.", hint=f"Use {meant[0]}.", argument=f"{name:.80}")
                raise HTTPError(error)
