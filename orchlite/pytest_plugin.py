"""The pytest plugin: fixtures that run orchestrations, and their logs in the report of a failed test.

pytest imports this module in every session where orchlite is installed, so a fixture imports what it needs when a test uses it.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False  # importing typing, if pytest has not done so yet, would cost more than everything else here
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from typing import Any

    from orchlite.client.client import Client
    from orchlite.client.pipeline import Pipeline
    from orchlite.client.task_run import TaskRun
    from orchlite.testing import ManualClock
    from orchlite.testing.bundle_files import PathOrFiles
    from orchlite.testing.stores import Stores

_SCENE = "orchlite_scene"
_CLIENT = pytest.StashKey["Client"]()
_NO_SERVER = "orchlite_server needs the extra `server`: pip install 'orchlite[server]'"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of scenes."""
    config.addinivalue_line(
        "markers", f"{_SCENE}(path): seed the store of orchlite_client with a scene; the path is relative to the test's."
    )


@pytest.fixture(scope="session")
def _orchlite_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """What the stores of all tests share; each worker of pytest-xdist has its own."""
    from orchlite.testing.stores import Stores

    stores = Stores(tmp_path_factory.mktemp("orchlite"))
    yield stores
    stores.close()


@pytest.fixture
def orchlite_clock() -> ManualClock:
    """A clock that stands at 2026-01-01 00:00 UTC, a Thursday, until the test advances it; `orchlite_client` uses it."""
    from datetime import UTC, datetime

    from orchlite.testing import ManualClock

    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def orchlite_client(request: pytest.FixtureRequest, _orchlite_stores: Stores) -> Iterator[Client]:
    """A client with an empty store of its own. After the test its runs are killed and the store is removed.

    It keeps all files of runs, and uses `orchlite_clock` if the test does. `@pytest.mark.orchlite_scene("scene.toml")` seeds it with a
    scene, whose path is relative to the test's file. If the test fails, the logs of the runs are in its report.
    """
    clock = request.getfixturevalue("orchlite_clock") if "orchlite_clock" in request.fixturenames else None
    with _orchlite_stores.open(clock) as client:
        request.node.stash[_CLIENT] = client
        if (scene := request.node.get_closest_marker(_SCENE)) is not None:
            client.seed(request.path.parent / scene.args[0])
        yield client
        del request.node.stash[_CLIENT]


@pytest.fixture
def run_orchestration(orchlite_client: Client) -> Callable[..., TaskRun]:
    """Run an orchestration in `orchlite_client`'s store, in its own environment; block until the run has ended, and return it.

    `run_orchestration(path_or_files, json_args=None, *, connections=None, env=None, timeout=None)`: the path of a folder or a ZIP, or the
    content of the files by name, `{"main.py": "print(1)"}`; the details of connections by name; environment variables; a time limit in
    seconds. A program that fails raises nothing; `run.raise_for_failure()` does.
    """
    from orchlite.testing import stores

    def run(
        path_or_files: PathOrFiles,
        json_args: Mapping[str, Any] | None = None,
        *,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> TaskRun:
        return stores.run(orchlite_client, path_or_files, json_args, connections, env, timeout)

    return run


@pytest.fixture
def run_inline(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Run an orchestration's `main.py` in the test's own process, as `orchlite.testing.run_inline`, but with `connections=`.

    If the test uses `orchlite_client` or has a scene, or passes connections, the program sees that client's store.
    """
    from orchlite import testing

    def run(
        path_or_files: PathOrFiles,
        json_args: Mapping[str, Any] | None = None,
        *,
        argv: Sequence[str] = (),
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        env: Mapping[str, str] | None = None,
        work: str | os.PathLike[str] | None = None,
    ) -> dict[str, Any]:
        has_store = "orchlite_client" in request.fixturenames or request.node.get_closest_marker(_SCENE) is not None
        client = request.getfixturevalue("orchlite_client") if connections or has_store else None
        if client is not None:
            from orchlite.testing import stores

            stores.connect(client, connections)
        return testing.run_inline(path_or_files, json_args, argv=argv, env=env, work=work, client=client)

    return run


@pytest.fixture
def pipeline_stub(orchlite_client: Client) -> Callable[..., Pipeline]:
    """Deploy a pipeline in `orchlite_client`'s store that calls a function, or returns a DataFrame's rows; return it.

    `pipeline_stub(name, function_or_frame)`: see `orchlite.testing.pipeline_stub`.
    """
    from orchlite import testing

    def stub(name: str, function_or_frame: Any) -> Pipeline:
        return testing.pipeline_stub(name, function_or_frame, client=orchlite_client)

    return stub


@pytest.fixture
def orchlite_server(orchlite_client: Client) -> Iterator[Any]:
    """A server of `orchlite_client`'s store on a free port of this machine: `.url`, `.token`, and `.environment()` for the SDK."""
    from importlib import import_module

    try:
        serve = import_module("orchlite.rest").serve
    except ImportError as error:
        pytest.fail(f"{_NO_SERVER} ({error}).", pytrace=False)
    with serve(orchlite_client, port=0) as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of a failed test's runs to its report."""
    report = yield
    client = item.stash.get(_CLIENT, None) if report.failed else None
    if client is not None:
        from orchlite.testing import stores

        report.sections += stores.sections(client)
    return report
