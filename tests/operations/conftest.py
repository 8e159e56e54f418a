"""The notebook of a test's notifications."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.notebook import Notebook


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path)
