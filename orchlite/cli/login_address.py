"""The address at which a browser logs in to the page of a running server: with a key, which the server makes for whoever has its token."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from orchlite.core.errors import DeviceFailed

_SECONDS = 10.0


def login_address(url: str, token: str) -> str:
    """Return the address, which is good for one log-in within ten minutes. Block until the server has made the key.

    Raises:
        DeviceFailed: the server cannot be reached, refuses the token, or has no page.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("POST", "/login/keys", headers={"Authorization": f"Bearer {token}", "Content-Length": "0"})
        response = connection.getresponse()
        text = response.read()
        if response.status == 200:
            return f"{url}/login?key={json.loads(text)['key']}"
    except (OSError, http.client.HTTPException) as error:
        raise DeviceFailed(f"The server at {url} cannot be reached: {error}.", hint="Start it again: `orchlite serve`.") from error
    finally:
        connection.close()
    raise DeviceFailed(
        f"The server at {url} has no page for this token (HTTP {response.status}).", hint="Stop it, and start it again: `orchlite serve`."
    )
