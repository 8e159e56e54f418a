"""A text keeps the parts that interfaces spell differently, and is plain text in Python's spelling to everyone else."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from orchlite.cli.language import COMMAND_LINE
from orchlite.core.errors import BadArgument
from orchlite.core.hints import Api, Argument, Language, Name, OrRaise, PythonOnly, join

_HINT = "Leave it out with " + Api.EXCLUDE + OrRaise("entries") + "."
_NAMES = {value for value in vars(Api).values() if isinstance(value, Name)}
_ENGLISH = Language(dict.fromkeys(_NAMES, "an option"), {"timeout": "the time limit"})


def test_a_text_is_a_str_in_pythons_spelling() -> None:
    assert _HINT == "Leave it out with exclude=, or raise Limits.entries."
    assert json.dumps(_HINT) == '"Leave it out with exclude=, or raise Limits.entries."'
    assert f"{Api.KILL} ends it" == "kill() ends it"


def test_a_text_is_spelled_without_what_is_for_python_only() -> None:
    assert _ENGLISH.spell(_HINT) == "Leave it out with an option."
    assert _ENGLISH.spell(PythonOnly("Call wait() first.")) == ""


def test_an_interface_that_can_raise_limits_says_how() -> None:
    assert COMMAND_LINE.spell(_HINT) == "Leave it out with --exclude, or raise the limit: --limit entries=N."
    assert COMMAND_LINE.spell("Zip less" + OrRaise("upload_bytes")) == "Zip less, or raise the limit: --limit upload_bytes=SIZE"


def test_an_argument_is_spelled_as_it_is_where_nothing_else_is_known() -> None:
    assert _ENGLISH.spell(Argument("timeout") + " is 0.") == "the time limit is 0."
    assert _ENGLISH.spell(Argument("other") + " is 0.") == "other is 0."


def test_texts_that_are_added_up_keep_all_their_parts() -> None:
    assert _ENGLISH.spell("- " + _HINT + "\n- " + _HINT) == "- Leave it out with an option.\n- Leave it out with an option."
    assert _ENGLISH.spell(join("\n", [_HINT, "and more"])) == "Leave it out with an option.\nand more"


def test_a_plain_text_is_spelled_as_it_is() -> None:
    assert _ENGLISH.spell("Require tabulate==0.9.0 (see kill()).") == "Require tabulate==0.9.0 (see kill())."


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copied_error_can_be_spelled_like_the_original(copied: object) -> None:
    error = copied(BadArgument(Argument("timeout") + " is 0.", hint=_HINT, argument="timeout"))  # type: ignore[operator]
    assert str(error) == "timeout is 0. Leave it out with exclude=, or raise Limits.entries."
    assert _ENGLISH.spell(error.args[0]) == "the time limit is 0. Leave it out with an option."
    assert _ENGLISH.spell(error.hint) == "Leave it out with an option."


def test_every_interface_spells_every_name_of_the_python_api() -> None:
    assert COMMAND_LINE.names.keys() == _NAMES


def test_the_rest_api_spells_every_name_of_the_python_api() -> None:
    pytest.importorskip("fastapi")
    from orchlite.rest.errors import LANGUAGE

    assert LANGUAGE.names.keys() == _NAMES
