"""Ends of programs that the log does not explain to everyone get a reason in a line."""

from __future__ import annotations

import signal

import pytest

from orchlite.runs.runner import explanations

_OF_GETPASS = b'Password: Traceback ...\n  File "getpass.py", line 148, in _raw_input\n    raise EOFError\nEOFError'
_OF_A_PIPE = b'Traceback ...\n  File "connection.py", line 383, in _recv\n    raise EOFError\nEOFError\n'


@pytest.mark.parametrize("last", [b"Traceback ...\n    input()\nEOFError: EOF when reading a line\n", _OF_GETPASS])
def test_a_program_that_asked_for_input_is_told_of_arguments(last: bytes) -> None:
    assert "task_args()" in str(explanations.reason(None, last))


@pytest.mark.parametrize("last", [b"", b"EOFError: Ran out of input", b"x EOFError", _OF_GETPASS + b"\nand continued", _OF_A_PIPE])
def test_other_last_lines_say_nothing(last: bytes) -> None:
    assert explanations.reason(None, last) is None


def test_a_crash_is_named_and_a_signal_that_is_sent_on_purpose_is_not() -> None:
    assert str(explanations.reason(signal.SIGBUS, b"")).startswith("SIGBUS ended it")
    assert explanations.reason(signal.SIGTERM, b"") is None
