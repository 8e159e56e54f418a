"""For tests of orchestrations: a clock moved by hand, simulated runs, pipelines without models, and runs inside the test's own process.

```
clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
with Client.temporary(clock=clock, process=StubProcess()) as wl:
    task = wl.upload_orchestration(path="nightly").run_scheduled("nightly", "30 2 * * *")
    clock.advance(days=31)
    assert len(task.last_runs()) == 31
```

The names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchlite.testing.clock import ManualClock
    from orchlite.testing.inline import run_inline
    from orchlite.testing.stub import StubProcess, StubRun
    from orchlite.testing.stub_pipeline import pipeline_stub

__all__ = ["ManualClock", "StubProcess", "StubRun", "pipeline_stub", "run_inline"]

_HOMES = {"ManualClock": "clock", "StubProcess": "stub", "StubRun": "stub", "pipeline_stub": "stub_pipeline", "run_inline": "inline"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
