"""The process that only simulates runs, without a client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchlite.core.errors import BadArgument
from orchlite.core.folders import RunFolder
from orchlite.runs.spec import NeverStarted
from orchlite.testing import StubProcess


class TestAStubProcess:
    @pytest.mark.parametrize("status", ["queued", "running", "skipped", "", "SUCCESS", None, 1])
    def test_refuses_what_is_no_end_of_a_run(self, status: Any) -> None:
        with pytest.raises(BadArgument, match="status"):
            StubProcess(status)

    @pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), 1e11, True, "5", None])
    def test_refuses_what_is_no_duration(self, seconds: Any) -> None:
        with pytest.raises(BadArgument, match="duration_seconds"):
            StubProcess("success", seconds)

    def test_has_run_nothing_at_first(self) -> None:
        assert StubProcess("failure", 5.0, exit_code=3).runs == []

    def test_observes_a_run_that_it_has_not_simulated_as_never_started(self) -> None:
        assert isinstance(StubProcess().observe(RunFolder(Path("run"))), NeverStarted)

    def test_keeps_the_name_that_observing_had_before(self) -> None:
        assert isinstance(StubProcess().look(RunFolder(Path("run"))), NeverStarted)
