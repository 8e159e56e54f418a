"""The page of a server that changes nothing."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import orchlite
import orchlite.web

_FORMS = {
    re.sub(r"{.*?}", "machine", route.path)
    for module in pkgutil.iter_modules(orchlite.web.__path__, "orchlite.web.")
    for route in getattr(import_module(module.name), "ROUTES", ())
    if "POST" in route.methods
}


def test_every_form_is_refused_but_that_to_log_out(store: orchlite.Client, browser_of: Callable[..., Any]) -> None:
    reader = browser_of(store, read_only=True).log_in()
    fields = {"form_token": reader.form_token()}
    paths = sorted(_FORMS - {"/login", "/login/keys"}, key="/logout".__eq__)  # it ends the session
    accepted = {path for path in paths if reader.http.post(path, data=fields).status_code not in (403, 415)}
    assert (accepted, len(_FORMS) > 10) == ({"/logout"}, True)
