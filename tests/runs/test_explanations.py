"""Ends of programs that the log does not explain to everyone get a reason in a line."""

from __future__ import annotations

import signal

import pytest

from orchlite.runs.runner import explanations


@pytest.mark.parametrize("last", [b"EOFError: EOF when reading a line\n", b"Name: Traceback ...\n    input()\nEOFError"])
def test_a_program_that_asked_for_input_is_told_of_arguments(last: bytes) -> None:
    assert "task_args()" in str(explanations.reason(None, last))


@pytest.mark.parametrize("last", [b"", b"EOFError: Ran out of input", b"x EOFError", b"EOFError\nand continued"])
def test_other_last_lines_say_nothing(last: bytes) -> None:
    assert explanations.reason(None, last) is None


def test_a_crash_is_named_and_a_signal_that_is_sent_on_purpose_is_not() -> None:
    assert str(explanations.reason(signal.SIGBUS, b"")).startswith("SIGBUS ended it")
    assert explanations.reason(signal.SIGTERM, b"") is None
