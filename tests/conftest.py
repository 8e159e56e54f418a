"""What all tests share: one cache of environments, and fixtures that create stores, clients, bundles and clocks."""

from __future__ import annotations

import gc
import io
import os
import re
import resource
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

import orchlite
from orchlite.environments.environments import Environments
from orchlite.store.store import Store
from orchlite.testing import ManualClock, StubProcess
from orchlite.testing.stores import copying

Files = dict[str, str]
_ALL_SLOW = "\npytestmark = pytest.mark.slow\n"
_PATIENCE_SECONDS = 20.0
_OF_A_DEVELOPER = re.compile("(?!ORCHLITE_TEST_)(ORCHLITE_|PYTHON).*|PYTEST_ADDOPTS|COLUMNS|FORCE_COLOR|NO_COLOR")
"""Variables that change what programs print, and PYTHONUNBUFFERED hides what they do not flush."""


def _smallest_bundle() -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", "")
    return buffer.getvalue()


_SMALLEST_BUNDLE = _smallest_bundle()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file in which every test is slow, nor what it imports, if slow tests are left out and the file is not named."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    is_named = collection_path in [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    return None if is_named or _ALL_SLOW not in collection_path.read_text(encoding="utf-8") else True


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the tests and their modules, which stay until the end, out of garbage collection: a full one would take 0.5 s each time."""
    gc.disable()
    found = yield
    gc.freeze()
    gc.enable()
    gc.set_threshold(700, 10, 100)  # and examine what lives long a tenth as often
    return found


@pytest.fixture(scope="session", autouse=True)
def _plain_process() -> Iterator[None]:
    """Remove what a developer's shell may set and a user's does not, so that the processes of tests find what users' processes find."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(_OF_A_DEVELOPER.fullmatch, list(os.environ)):
            patch.delenv(name)
        for ignored, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
            if signal.getsignal(ignored) is signal.SIG_IGN:
                signal.signal(ignored, handler)  # shells ignore it for jobs in the background, and so would theirs
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory, _plain_process: None) -> Iterator[Path]:
    """One cache of environments for the session: `ORCHLITE_TEST_CACHE`, else a temporary folder that the workers of xdist share."""
    given, base = os.environ.get("ORCHLITE_TEST_CACHE"), tmp_path_factory.getbasetemp()
    folder = Path(given) if given else (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHLITE_CACHE", str(folder))
        if sys.dont_write_bytecode:
            # Otherwise each of the hundreds of processes that tests start would compile the library again.
            patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        yield folder


@pytest.fixture
def only_store_of_the_cache(shared_cache: Path) -> None:
    """Forget the stores of other tests: `prune` reads every store that uses its cache, and these are thousands."""
    for reference in (shared_cache / "stores").glob("*.json"):
        reference.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A new store, to copy: creating one takes five times as long as opening a copy."""
    path = tmp_path_factory.mktemp("empty") / "store"
    # A cache of its own: `prune` opens every store of its cache, and SQLite's files beside the database come and go meanwhile.
    orchlite.Client(path, environment=Environments(path.with_name("cache"))).close()
    return path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a new store, to copy: creating the tables takes longer than everything else that opens one."""
    path = tmp_path_factory.mktemp("empty") / "store.sqlite"
    Store(path).close()
    return path


@pytest.fixture(scope="session")
def temporary_client(empty_database: Path) -> Callable[..., orchlite.Client]:
    """`Client.temporary`, on a copy of `empty_database`."""
    return copying(empty_database)


@pytest.fixture
def client(tmp_path: Path, empty_store: Path) -> Iterator[orchlite.Client]:
    """A client with a store of its own, two workers, and a short grace; closed without waiting."""
    shutil.copytree(empty_store, tmp_path / "store")
    client = orchlite.Client(tmp_path / "store", workers=2, grace_seconds=0.5)
    yield client
    for task in client.list_tasks():
        task.kill()
    client.close(drain=False)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a bundle folder: `folder("print(1)")`, or `folder({"main.py": "...", "data.csv": "..."})`."""
    made = iter(range(1000))

    def make(files: str | Files) -> Path:
        path = tmp_path / f"bundle-{next(made)}"
        for name, text in ({"main.py": files} if isinstance(files, str) else files).items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def package_index(tmp_path: Path) -> tuple[str, str]:
    """The URL of an index with one package that was never installed before, and the requirement for it."""
    name = f"tiny_{uuid.uuid4().hex}"
    folder = tmp_path / "index" / name.replace("_", "-")
    folder.mkdir(parents=True)
    wheel = f"{name}-1.0-py3-none-any.whl"
    with ZipFile(folder / wheel, "w") as archive:
        archive.writestr(f"{name}.py", "WORDS = 'from the package'\n")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
    return folder.parent.as_uri() + "/", f"{name}==1.0"


@pytest.fixture(scope="session")
def smallest_bundle() -> bytes:
    """The bytes of a bundle whose program does nothing."""
    return _SMALLEST_BUNDLE


@pytest.fixture
def open_client(tmp_path: Path, empty_store: Path) -> Iterator[Callable[..., orchlite.Client]]:
    """Open clients on the test's store, by default with one worker each; their tasks are killed at the end."""
    clients: list[orchlite.Client] = []

    def make(**settings: object) -> orchlite.Client:
        if not (tmp_path / "store").exists():
            shutil.copytree(empty_store, tmp_path / "store")
        clients.append(orchlite.Client(tmp_path / "store", **{"workers": 1, "grace_seconds": 0.5, **settings}))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        with suppress(orchlite.Closed):
            for task in client.list_tasks():
                task.kill()
        client.close(drain=False)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition is true."""

    def wait(condition: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, "it never came true"
            time.sleep(0.005)

    return wait


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that `waiting_program` waits for."""
    return tmp_path / "gate"


@pytest.fixture
def waiting_program(gate: Path) -> str:
    """A program that prints `begun`, waits for the gate, and prints `done`."""
    return (
        "import os, pathlib, time\n"
        "print('begun', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.01)\n"
        "print('done')\n"
    )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is moved by hand, at the beginning of March 2026."""
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def travel(clock: ManualClock, temporary_client: Callable[..., orchlite.Client]) -> Iterator[Callable[..., orchlite.Orchestration]]:
    """An orchestration in a temporary store on the manual clock, whose runs end as a `StubProcess` says: `travel("failure", 90)`."""
    clients: list[orchlite.Client] = []

    def make(status: object = "success", duration_seconds: float = 0, **settings: object) -> orchlite.Orchestration:
        stub = StubProcess(status, duration_seconds)  # type: ignore[arg-type]
        clients.append(temporary_client(clock=clock, process=stub, **settings))
        return clients[-1].upload_orchestration(_SMALLEST_BUNDLE)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Call it, and this process can open nothing more until the end of the test."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []

    def exhaust() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limits[1]))  # noqa: PTH208
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))

    yield exhaust
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
