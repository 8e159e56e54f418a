"""The client: the public way into a store. It checks what it is given, and leaves the work to an engine."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchlite.client.listing import Listing
from orchlite.client.maintenance import Maintenance, checked_retention
from orchlite.client.orchestration import Orchestration
from orchlite.client.task_run import TaskRun
from orchlite.core import folders
from orchlite.core.arguments import (
    checked_choice,
    checked_command,
    checked_count,
    checked_env,
    checked_env_names,
    checked_flag,
    checked_limits,
    checked_name,
    checked_path,
    checked_seconds,
    checked_texts,
)
from orchlite.core.clock import Clock, ControlledClock, SystemClock
from orchlite.core.errors import BadArgument
from orchlite.core.files import remove_tree
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import Argument, PythonOnly
from orchlite.core.settings import Limits, Retention, Settings
from orchlite.engine import recovery, shutdown
from orchlite.engine.engine import Engine, open_engine
from orchlite.engine.stepped import Simulation
from orchlite.environments.base_image import checked_base_image
from orchlite.environments.environments import INSTALLERS, Environments, check_installer
from orchlite.operations.upload import Upload
from orchlite.runs.protocol import Process

_KEEP_WORK = ("changed", "all", "none")
_DEFAULT_WORKSPACE = "default"


class Client(Listing, Maintenance):
    """A store, opened. Use it as a context manager: leaving it waits for the one-shot runs that it submitted.

    Any number of clients, in any number of processes, may share a store; a client may be used from any thread.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        base_image: str | Sequence[str] = "host",
        workers: int | None = None,
        clock: Clock | None = None,
        env: Mapping[str, str] | None = None,
        env_passthrough: Iterable[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        installer: str = "auto",
        index_urls: Sequence[str] = (),
        install_timeout_seconds: float = 900,
        grace_seconds: float = 10,
        retention: Retention | None = None,
        keep_work: str = "changed",
        on_failure: Sequence[str] | None = None,
        process: Process | None = None,
        environment: Environments | None = None,
    ) -> None:
        """Open the store in the folder `path` (else `ORCHLITE_STORE`, else one in the user's data folder), creating it as needed.

        base_image: what a run sees below its requirements: `"host"`, the packages of this interpreter; `"clean"`, nothing; or a list of
        requirements, `["numpy==2.1.0", "pandas"]`, exactly these.
        workers: how many runs go on at once; the number of cores by default.
        env: environment variables for every run submitted here; they are kept with the task.
        env_passthrough: names of variables that runs take over from the process that launches them; values are not kept.
        installer: what fills environments: `"pip"`, `"uv"`, or `"auto"`: uv where there is one, and where it would install from the same
        places as pip would.
        index_urls: package indexes to install from; what pip is configured with by default.
        install_timeout_seconds, grace_seconds: time limits of an installation, and between SIGTERM and SIGKILL.
        retention: how long what is over is kept; pruned once a day while this client works for the whole store. For ever by default.
        keep_work: what stays of a run's working folder: `"changed"`, what the run made or changed (of a task's failed runs the
        newest three keep all), `"all"` or `"none"`.
        on_failure: a program and its arguments, run by a host when a run submitted here has ended badly; what and why is in the
        environment variables `ORCHLITE_RUN_ID`, `ORCHLITE_RUN_STATUS`, `ORCHLITE_RUN_REASON` and others.
        clock, process, environment: replacements for tests.

        Raises:
            BadArgument: an argument is refused.
            StoreTooNew, StoreBusy, StoreDamaged: the store cannot be used.
        """
        settings = Settings(
            base_image=checked_base_image(base_image),
            workers=os.cpu_count() or 1 if workers is None else checked_count(workers, "workers", 1),
            env=checked_env(env),
            env_passthrough=checked_env_names(env_passthrough),
            limits=checked_limits(limits),
            installer=checked_choice(installer, "installer", INSTALLERS),
            index_urls=checked_texts(index_urls, "index_urls"),
            install_timeout_seconds=checked_seconds(install_timeout_seconds, "install_timeout_seconds"),
            grace_seconds=checked_seconds(grace_seconds, "grace_seconds"),
            retention=checked_retention(retention),
            keep_work=checked_choice(keep_work, "keep_work", _KEEP_WORK),
            on_failure=checked_command(on_failure, "on_failure"),
            leash=self._is_temporary,
        )
        check_installer(settings.installer)
        environments = environment or Environments(folders.cache_folder(), installer=settings.installer, index_urls=settings.index_urls)
        if isinstance(process, Simulation) and not isinstance(clock, ControlledClock):
            raise BadArgument("A stub process needs a clock that is moved by hand.", hint="Give a ManualClock, too.", argument="process")
        folder = self._folder(path)
        try:
            self._engine = open_engine(folder, environments, clock or SystemClock(), settings, process)
        except BaseException:
            if self._is_temporary:
                remove_tree(folder.path)
            raise
        shutdown.close_at_exit(self._engine, self._is_temporary)
        try:
            self._workspace = self.get_workspace(_DEFAULT_WORKSPACE, create_if_not_exist=True)
        except BaseException:
            self.close(drain=False)
            raise

    _is_temporary = False

    @staticmethod
    def _folder(path: str | os.PathLike[str] | None) -> StoreFolder:
        return folders.store_folder(path)

    @classmethod
    def temporary(cls, **settings: Any) -> Client:
        """A client with a new store of its own, which takes `Client`'s settings, but no path.

        At close its runs are killed and everything is removed. Runs end with this process, however it ends. The cache of environments
        is shared with all clients and stays.
        """
        return TemporaryClient(**settings)

    def run(
        self,
        path_or_orchestration: str | os.PathLike[str] | Orchestration,
        json_args: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        follow: bool = False,
    ) -> TaskRun:
        """Run a ZIP, a folder or an orchestration once, and answer its run when it has ended.

        Bytes that this workspace knows are not uploaded again. With `follow`, the run's output is printed as it arrives, and before it, on
        standard error, the installer's. An interrupt (Ctrl-C) ends the wait, and not the run.

        Raises:
            BadBundle, BadRequirement, BadArgument: something is refused; nothing was stored.
            PackagingFailed: the environment could not be made.
        """
        orchestration, follow = path_or_orchestration, checked_flag(follow, "follow")
        if not isinstance(orchestration, Orchestration):
            path = _bundle_path(orchestration)
            orchestration = self._upload(path, _printable(path.stem) or None, None, reuse=True)
        if follow and orchestration.requirements() and orchestration.status() != "ready":
            for line in orchestration.task().last_runs()[0].logs(follow=True):
                print(line.text, file=sys.stderr, flush=True)
        task = orchestration.wait().run_once(name, json_args, timeout, env=env)
        [run] = task.last_runs()
        try:
            if follow:
                for line in run.logs(follow=True):
                    print(line.text, file=sys.stderr if line.stream == "stderr" else sys.stdout, flush=True)
            return run.wait()
        except KeyboardInterrupt:
            if not self._is_temporary:
                print(f"orchlite: the run goes on; get_task_run_by_id({run.id()!r}).kill() would end it.", file=sys.stderr)
            raise

    def upload_orchestration(
        self,
        bytes_buffer: bytes | bytearray | memoryview | io.BytesIO | None = None,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        file_name: str | None = None,
        *,
        exclude: Sequence[str] = (),
        refresh: bool = False,
        reuse: bool = False,
    ) -> Orchestration:
        """Upload a bundle: the bytes of a ZIP, or the path of a ZIP or of a folder. Answers at once; packaging goes on behind.

        A folder is packed reproducibly. Left out, and listed in `warnings()`: names that begin with a dot, `__pycache__`, `*.pyc`,
        `node_modules`, virtual environments, and what matches a pattern in `exclude`. With `refresh`, its environment is built anew
        even where there is one; runs that use the old one go on. With `reuse`, where this workspace has an orchestration of the same bytes
        that is not in `error`, that one is answered, and nothing is stored.

        Raises:
            BadBundle, BadRequirement: the bundle is refused, for the entry and reason named; nothing was stored.
            BadArgument: an argument is refused.
        """
        if (bytes_buffer is None) == (path is None):
            raise BadArgument("Give either bytes_buffer or path.", hint="path takes a ZIP or a folder.", argument="path")
        source = _bundle_bytes(bytes_buffer) if path is None else _bundle_path(path)
        patterns = checked_texts(exclude, "exclude")
        name, file_name, refresh = checked_name(name), checked_name(file_name, "file_name"), checked_flag(refresh, "refresh")
        return self._upload(source, name, file_name, patterns, refresh=refresh, reuse=checked_flag(reuse, "reuse") and not refresh)

    def start(self) -> Self:
        """Work for the whole store from now on: run what other clients have queued and left, too. Answers itself."""
        self._engine.start()
        return self

    def run_forever(self, *, signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Work for the whole store, and keep its schedules, until SIGTERM or SIGINT arrives, or `close` is called elsewhere.

        Blocks. Then the store is closed, and runs go on under their runners; the next host records how they ended. The signals are
        handled while this lasts, and as before afterwards; with `signals=()` they are left alone, as they must be outside the main thread.

        Raises:
            BadArgument: one of the signals cannot be handled. Nothing has begun.
            Conflict: this process is a run of this store.
        """
        shutdown.run_until_signalled(self._engine, signals, lambda: self.close(drain=False))

    def path(self) -> Path:
        """The store's folder."""
        return self._engine.context.folder.path

    def close(self, drain: bool = True) -> None:
        """Let go of the store; idempotent. With `drain`, first wait for the one-shot runs submitted here.

        Without it nothing is waited for: runs go on and are recorded, and what is queued stays queued for `Client(path).start()`.

        Raises:
            DeviceFailed: the store failed while it was waited for; it was let go of all the same.
        """
        try:
            self._engine.close(drain=drain)
        finally:
            shutdown.unregister(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(drain=kind is None)

    def __repr__(self) -> str:
        return f"Client({str(self.path())!r})"

    def _upload(
        self,
        source: bytes | Path,
        name: str | None,
        file_name: str | None,
        exclude: Sequence[str] = (),
        *,
        reuse: bool = False,
        refresh: bool = False,
    ) -> Orchestration:
        if file_name is None:
            file_name = _printable(source.name) if isinstance(source, Path) else "bundle.zip"
            file_name += ".zip" if isinstance(source, Path) and source.is_dir() else ""
        upload = Upload(source, self._workspace.id(), name, file_name, exclude, refresh)
        return Orchestration(self._engine, self._engine.upload(upload, reuse=reuse))


def engine_of(client: Client) -> Engine:
    """Return the engine behind a client: the one way for the faces (REST, command line, SDK) to reach past the handles."""
    return client._engine


class TemporaryClient(Client):
    """A client whose store lasts as long as itself."""

    _is_temporary = True

    @staticmethod
    def _folder(path: str | os.PathLike[str] | None) -> StoreFolder:
        if path is not None:
            raise BadArgument("A temporary client takes no path.", hint=PythonOnly("Use Client(path)."), argument="path")
        recovery.sweep_temporary_stores(folders.temporary_store_folders())
        return folders.temporary_store_folder()

    def close(self, drain: bool = True) -> None:
        """Kill what runs, let go of the store, and remove it; idempotent."""
        shutdown.close_temporary(self._engine)


def _bundle_bytes(buffer: object) -> bytes:
    if isinstance(buffer, io.BytesIO):
        return buffer.getvalue()
    if isinstance(buffer, bytes | bytearray | memoryview):
        return bytes(buffer)
    hint = "It takes the bytes of a ZIP."
    if isinstance(buffer, str | os.PathLike):
        hint += PythonOnly(f" Did you mean path={os.fspath(buffer)!r:.80}?")
    raise BadArgument(Argument("bytes_buffer") + f" is a {type(buffer).__name__}.", hint=hint, argument="bytes_buffer")


def _bundle_path(path: object) -> Path:
    found = checked_path(path)
    try:
        found.stat()
    except OSError as error:
        raise BadArgument(
            f"The bundle {str(found)!r:.300} cannot be read: {error.strerror}.",
            hint="Give the path of a ZIP or of a folder.",
            argument="path",
        ) from error
    return found


def _printable(name: str) -> str:
    """A file's name as a label: file systems allow what no text may hold."""
    return "".join(character if character.isprintable() else "_" for character in name)
