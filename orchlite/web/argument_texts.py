"""The arguments of a run as JSON, as pages show them and forms edit them. Pure."""

from __future__ import annotations

import json
from typing import Any

from orchlite.core.errors import BadArgument
from orchlite.web.visible import escaped_json

EDITED_CHARACTERS = 5_000
"""Longer arguments are not edited in a form."""
_HINT = 'Write an object, such as {"date": "2026-03-01"}.'


def arguments_text(arguments: object) -> str:
    """Return arguments as JSON of several lines, without hidden characters."""
    return escaped_json(json.dumps(arguments, ensure_ascii=False, indent=2))


def parsed_arguments(text: str) -> dict[str, Any]:
    """Return the object of a JSON text.

    Raises:
        BadArgument: it is something else.
    """
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"The arguments are not JSON: {error}.", hint=_HINT, argument="json_args") from error
    if not isinstance(arguments, dict):
        raise BadArgument("The arguments are not a JSON object.", hint=_HINT, argument="json_args")
    return arguments
