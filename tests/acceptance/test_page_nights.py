"""The page in a real browser: from the log-in to a failed night."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_a_browser_logs_in_and_sees_the_last_nights(window: Any, screenshots: Callable[[str, str], None]) -> None:
    assert window.tab.title() == "Last nights · orchlite"
    assert window.barriers() == []
    screenshots("/", "nights")
