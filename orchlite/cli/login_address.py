"""The address at which a browser logs in to the page of a running server, with a key that the server makes for whoever has its token."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from orchlite.core.errors import DeviceFailed

_SECONDS = 10.0
_FILE_NAME = "open.html"
_FILE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={0}">
<title>orchlite</title>
<a href="{0}">Continue to orchlite</a>
</html>
"""


def login_address(url: str, token: str) -> str:
    """Return the address, which is good for one log-in within ten minutes. Block until the server has made the key.

    Raises:
        DeviceFailed: the server cannot be reached, refuses the token, or has no page.
    """
    import http.client  # imports `email` and `ssl`: a quarter of what every verb would take to start

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


def open_in_browser(store: Path, address: str) -> bool:
    """Open an address of `login_address` in the user's browser. Return False if there is none, or no screen to show it on.

    The browser is given a file in the store's folder, which only this account can read: any account can read the arguments of processes.

    Raises:
        DeviceFailed: the file cannot be written.
    """
    import webbrowser

    from orchlite.rest.secret_files import write_secret_file

    if sys.platform != "darwin" and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False  # without a screen, `webbrowser` would start one for terminals, and wait for it
    file = store / _FILE_NAME
    write_secret_file(file, _FILE.format(address), replace=True)
    return webbrowser.open(file.as_uri())
