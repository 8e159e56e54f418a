"""The table of the SDK's names is what the SDK has."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchlite.sdk.wallaroo import _surface
from tests.acceptance.sdk.conftest import Run
from tests.acceptance.sdk.real_sdk import SDK_2026


@pytest.mark.slow
def test_the_table_is_read_off_the_sdk(run: Run) -> None:
    done = run(SDK_2026, "-m", "surface")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == Path(_surface.__file__).read_text(encoding="utf-8")
