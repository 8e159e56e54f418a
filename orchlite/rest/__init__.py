"""The platform's REST API over a store, for its own clients: `application`, `serve`, `serve_forever`. Needs the extra `server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from orchlite.rest.app import application
    from orchlite.rest.server import Server, serve, serve_forever

__all__ = ["Server", "application", "serve", "serve_forever"]

_MODULES = {
    "Server": "orchlite.rest.server",
    "application": "orchlite.rest.app",
    "serve": "orchlite.rest.server",
    "serve_forever": "orchlite.rest.server",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'orchlite.rest' has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "orchlite":
            raise
        raise ModuleNotFoundError(
            f"orchlite.rest needs {error.name!r}, which is not installed: pip install 'orchlite[server]'.", name=error.name
        ) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
