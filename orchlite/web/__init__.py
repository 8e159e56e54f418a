"""The page: what a store does, to look at and to steer in a browser. Needs the extra `server`.

A face beside `rest`, whose guard passes it the requests that are for no endpoint of the platform. It renders on the server, works without
JavaScript, and loads nothing from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from orchlite.web.application import page

__all__ = ["page"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'orchlite.web' has no attribute {name!r}")
    try:
        from orchlite.web.application import page
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "orchlite":
            raise
        raise ModuleNotFoundError(
            f"orchlite.web needs {error.name!r}, which is not installed: pip install 'orchlite[server]'.", name=error.name
        ) from error
    return page
