"""`Client`, the public way into a store. It checks its arguments and leaves the work to an engine."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from orchlite.client.bundle_source import bundle_bytes, bundle_path, file_name_of, printable
from orchlite.client.following import last_try, print_packaging
from orchlite.client.listing import Listing
from orchlite.client.maintenance import Maintenance, checked_retention
from orchlite.client.model_catalogue import ModelCatalogue
from orchlite.client.orchestration import Orchestration
from orchlite.client.seeding import Seeding
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
    checked_seconds,
    checked_texts,
)
from orchlite.core.clock import Clock, SystemClock
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument
from orchlite.core.files import remove_tree
from orchlite.core.folders import StoreFolder
from orchlite.core.hints import PythonOnly
from orchlite.core.module_arguments import checked_modules
from orchlite.core.private_folders import allows_foreign_owner
from orchlite.core.settings import Limits, Retention, Settings
from orchlite.core.system_errors import device_error
from orchlite.engine import recovery, shutdown
from orchlite.engine.engine import Engine
from orchlite.engine.opening import checked_executor, open_engine
from orchlite.environments.base_image import checked_base_image
from orchlite.environments.environments import INSTALLERS, Environments, check_installer
from orchlite.environments.replaced_pins import checked_replace_pins
from orchlite.operations.upload import Upload
from orchlite.runs.protocol import Process

if TYPE_CHECKING:
    from orchlite.runs.cluster import Cluster

_MOST_STANDBY_SECONDS = 86_400
_KEEP_WORK = ("changed", "all", "none")
_DEFAULT_WORKSPACE = "default"


class Client(Listing, ModelCatalogue, Seeding, Maintenance):
    """An open store: upload bundles, run them once or on a schedule, read what has happened.

    Use it as a context manager: leaving the block waits for the one-shot runs that were submitted in it, unless an exception leaves it; see
    `close()`. Any number of clients, in any number of processes, may share a store. A client and the handles that it returns may be used
    from any thread; after a fork, the child process must open its own.

    Handles read the store at each call, so that they show its present state. Inside a task, reading the status of something that the task
    has submitted and that has not ended may write to the store that the task waits for it, which frees the task's worker slot meanwhile.

    Every method, of handles as well, may raise these errors in addition to its own:

    Raises:
        Closed: the client was closed, or belongs to the parent process.
        StoreBusy: another process kept the store locked for more than 10 s; nothing was written.
        StoreDamaged: the database file is missing, was replaced, or cannot be read.
        StoreTooNew: a newer orchlite has changed the store's schema meanwhile; nothing was written.
        StorageFull: the disk is full; nothing was written.
        ResourceExhausted: the process may start no more threads, or open no more files.
        DeviceFailed: the database failed in another way.
        StoreElsewhere: this program is a run on a node of a cluster, and the call needs the store of the run's host.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        base_image: str | Sequence[str] = "host",
        replace_pins: str | Sequence[str] | None = None,
        workers: int | None = None,
        clock: Clock | None = None,
        env: Mapping[str, str] | None = None,
        env_passthrough: Iterable[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        installer: str = "auto",
        index_urls: Sequence[str] = (),
        install_timeout_seconds: Duration = 900,
        grace_seconds: Duration = 10,
        standby_seconds: Duration = 60,
        preload: Sequence[str] = (),
        retention: Retention | None = None,
        keep_work: str = "changed",
        on_failure: Sequence[str] | None = None,
        on_success: Sequence[str] | None = None,
        on_late: Sequence[str] | None = None,
        heartbeat: Sequence[str] | None = None,
        allow_foreign_owner: bool = False,
        engine: Process | Cluster | None = None,
        process: Process | Cluster | None = None,
        environment: Environments | None = None,
    ) -> None:
        """Open the store in the folder `path`, else `ORCHLITE_STORE`, else one in the user's data folder. Create it if there is none.

        Recover what dead hosts left: record how their runs ended, and wait in the background for those that still run. This blocks 10 s at
        most. No run starts before the first submission, `start()` or `run_forever()`.

        base_image: the packages that a run sees below its requirements: `"host"`, those of this interpreter; `"clean"`, none; a list of
            requirements, such as `["numpy==2.1.0", "pandas"]`, exactly these; or `"platform"` or `"platform-2023"`, such a list that is
            near to what programs find on the platform.
        replace_pins: pins that fit together, `"platform"`, `"platform-2023"` or a list, for bundles whose own have no wheels for this
            Python. Where a bundle pins another version of one of these packages, all of them are installed in these versions. The
            packaging log and `warnings()` name each change.
        workers: how many runs this client executes at a time; by default the number of cores.
        env: environment variables for every run submitted here. They are stored with the task.
        env_passthrough: names of variables that runs take from the process that starts them. Their values are not stored.
        limits: upper bounds on bundles, arguments and logs.
        installer: `"pip"`, `"uv"`, or `"auto"`: uv if it is found and would install from the same places as pip.
        index_urls: the package indexes to install from; by default those of pip's configuration.
        install_timeout_seconds: time limit of an installation.
        grace_seconds: the time between SIGTERM and SIGKILL when a run is ended.
        standby_seconds: how long the next run of an orchestration that was run twice in a row is kept ready, while nothing else is due: its
            interpreter is started, and waits before the program's first statement. 0 prepares none.
        preload: modules that a run which is kept ready has already imported, such as `["pandas"]`. See the manual's page `speed` before.
        retention: prune once a day, by these terms, while this client serves the whole store. By default nothing is removed.
        keep_work: which files of a run's working folder stay: `"changed"`, those that the run created or changed, and all of them for a
            task's newest three failed runs; `"all"`; or `"none"`.
        on_failure: a program and its arguments, which a host runs after a run submitted here has failed. The variables `ORCHLITE_RUN_ID`,
            `ORCHLITE_RUN_STATUS`, `ORCHLITE_RUN_REASON` and others describe the run. While this client serves the whole store, it also runs
            it after failed runs of tasks that have no such program.
        on_success, on_late: likewise, after a run has succeeded, and when a slot is late by more than a minute or was missed.
        heartbeat: a program and its arguments, run once a minute for as long as this client keeps schedules: a dead man's switch.
        allow_foreign_owner: let root open a store and a cache of another account, as the variable `ORCHLITE_ALLOW_FOREIGN_OWNER=1` does.
        engine: what executes runs instead of this machine, such as `orchlite.ray.RayJobs`. `process` is the former name of this argument.
        clock, environment: replacements for tests; see `orchlite.testing`.

        Raises:
            BadArgument: an argument is refused; or the store or the cache belongs to another account; or the store is on a network file
                system.
            StoreTooNew: a newer orchlite wrote the store.
            StoreBusy, StoreDamaged, StorageFull, DeviceFailed: the store cannot be used.
        """
        settings = Settings(
            base_image=checked_base_image(base_image),
            replace_pins=checked_replace_pins(replace_pins),
            workers=os.cpu_count() or 1 if workers is None else checked_count(workers, "workers", 1),
            env=checked_env(env),
            env_passthrough=checked_env_names(env_passthrough),
            limits=checked_limits(limits),
            installer=checked_choice(installer, "installer", INSTALLERS),
            index_urls=checked_texts(index_urls, "index_urls"),
            install_timeout_seconds=checked_seconds(install_timeout_seconds, "install_timeout_seconds"),
            grace_seconds=checked_seconds(grace_seconds, "grace_seconds"),
            standby_seconds=checked_seconds(standby_seconds, "standby_seconds", _MOST_STANDBY_SECONDS),
            preload=checked_modules(preload, "preload"),
            retention=checked_retention(retention),
            keep_work=checked_choice(keep_work, "keep_work", _KEEP_WORK),
            on_failure=checked_command(on_failure, "on_failure"),
            on_success=checked_command(on_success, "on_success"),
            on_late=checked_command(on_late, "on_late"),
            heartbeat=checked_command(heartbeat, "heartbeat"),
            allow_foreign_owner=allows_foreign_owner(checked_flag(allow_foreign_owner, "allow_foreign_owner")),
            leash=self._is_temporary,
        )
        check_installer(settings.installer)
        environments = environment or _environments(settings)
        executor = checked_executor(engine, process, clock)
        folder = self._folder(path)
        try:
            self._engine = open_engine(folder, environments, clock or SystemClock(), settings, executor)
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
        """Open a new store in a temporary folder. `settings` are those of `Client`, without `path`.

        `close()` kills its runs and removes the folder. Its runs end with this process, however that ends; those on a cluster, only when it
        closes. The cache of environments is that of all clients, and stays.

        Raises:
            BadArgument: an argument is refused.
            DeviceFailed: the folder or the store cannot be created.
        """
        return TemporaryClient(**settings)

    def run(
        self,
        path_or_orchestration: str | os.PathLike[str] | Orchestration,
        json_args: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        timeout: Duration | None = None,
        env: Mapping[str, str] | None = None,
        follow: bool = False,
        retries: int = 0,
        retry_delay: Duration | None = None,
        retry_unknown: bool = False,
        memory: int | str | None = None,
        cpu_seconds: int | None = None,
        nice: int = 0,
    ) -> TaskRun:
        """Run a ZIP, a folder or an orchestration once. Block until the run has ended, and return it, whatever its outcome.

        A word that is no path is an id or a name, as for `get_orchestration`.
        A bundle that this workspace has already is not stored again. An interrupt (Ctrl-C) ends the wait, not the run. If the run is tried
        again, this waits for the last try, and returns that. The arguments are those of `Orchestration.run_once`.

        timeout: time limit of the run, not of the wait: seconds, a `timedelta`, or a text such as `"5m"`.
        follow: print the installer's output to standard error, then the run's output as it arrives, each stream to its own.

        Raises:
            BadBundle, BadRequirement, BadArgument: the bundle or an argument is refused; nothing was submitted.
            PackagingFailed: the environment could not be built.
            Ambiguous: the ids of several orchestrations begin like the word.
            NotFound: the orchestration or its run was deleted meanwhile.
            Conflict: the wait could never end, because only this thread moves the clock.
        """
        orchestration, follow = path_or_orchestration, checked_flag(follow, "follow")
        if not isinstance(orchestration, Orchestration):
            orchestration = self._named(orchestration) or self._uploaded(bundle_path(orchestration))
        if follow:
            print_packaging(orchestration)
        task = orchestration.wait().run_once(
            name,
            json_args,
            timeout,
            env=env,
            retries=retries,
            retry_delay=retry_delay,
            retry_unknown=retry_unknown,
            memory=memory,
            cpu_seconds=cpu_seconds,
            nice=nice,
        )
        first = min(self._engine.store.runs.of_task(task.id()), key=lambda run: run.try_number)  # it may have failed, and be tried again
        return last_try(TaskRun(self._engine, first.run_id, first.task_id), follow=follow, survives=not self._is_temporary)

    def _uploaded(self, path: Path) -> Orchestration:
        upload = Upload(path, self._workspace.id(), printable(path.stem) or None, file_name_of(path))
        return Orchestration(self._engine, self._engine.upload(upload, reuse=True))

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
        base_image: str | Sequence[str] | None = None,
        replace_pins: str | Sequence[str] | None = None,
    ) -> Orchestration:
        """Upload a bundle, from the bytes of a ZIP or the path of a ZIP or folder, and start packaging it.

        Return once the bundle is stored durably; `wait()` of the orchestration blocks until it is packaged. Equal folders give equal ZIPs.
        Packing a folder leaves out, and lists in `warnings()`, names that begin with a dot, `__pycache__`, `*.pyc`, `node_modules`, virtual
        environments, and what `exclude` matches.

        name: the orchestration's name; it need not be unique.
        file_name: the name under which `download()` saves the ZIP; by default that of the file or folder.
        exclude: patterns of file names and paths in a folder, such as `["*.csv", "data/raw"]`.
        refresh: build the environment again even if there is one. Runs that use the old one continue to do so.
        reuse: store nothing, and return the workspace's newest orchestration of the same bytes, base image, replaced pins and package
            indexes that is not in `error`, if there is one.
        base_image, replace_pins: as for `Client`; by default the client's.

        Raises:
            BadBundle: the bundle is refused; `details["entry"]` names the entry. Nothing was stored.
            BadRequirement: a line of its `requirements.txt` is refused. Nothing was stored.
            BadArgument: an argument is refused.
            PackagingFailed: with `reuse`, there is no installer, or pip's configuration cannot be read. Nothing was stored.
        """
        if (bytes_buffer is None) == (path is None):
            raise BadArgument("Pass either bytes_buffer or path.", hint="path takes a ZIP or a folder.", argument="path")
        source = bundle_bytes(bytes_buffer) if path is None else bundle_path(path)
        upload = Upload(
            source,
            self._workspace.id(),
            checked_name(name),
            checked_name(file_name, "file_name") or file_name_of(source),
            checked_texts(exclude, "exclude"),
            checked_flag(refresh, "refresh"),
            None if base_image is None else checked_base_image(base_image),
            None if replace_pins is None else checked_replace_pins(replace_pins),
        )
        return Orchestration(self._engine, self._engine.upload(upload, reuse=checked_flag(reuse, "reuse") and not refresh))

    def start(self, *, adopt_copy: bool = False) -> Self:
        """Serve the whole store in background threads: execute what any client has queued, keep all schedules. Return the client.

        Idempotent. It lasts until the client is closed. The schedules of a store whose folder was copied wait until one client has started
        with `adopt_copy`.

        Raises:
            Conflict: this process is a run of this store.
            BadArgument: `adopt_copy` is not a bool.
        """
        self._engine.start(adopt_copy=checked_flag(adopt_copy, "adopt_copy"))
        return self

    def run_forever(self, *, signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT), adopt_copy: bool = False) -> None:
        """Serve the whole store like `start()`. Block until SIGTERM or SIGINT arrives, or another thread calls `close()`.

        Then close the store without waiting: runs continue under their runners, and the next host records how they ended.

        signals: the signals to stop at. Their handlers are restored afterwards. Outside the main thread, pass `()`.

        Raises:
            BadArgument: one of the signals cannot be handled. Nothing was started.
            Conflict: this process is a run of this store.
            StoreDamaged, StoreTooNew: the store became unusable while it was served.
        """
        adopt_copy = checked_flag(adopt_copy, "adopt_copy")
        shutdown.run_until_signalled(self._engine, signals, lambda: self.close(drain=False), adopt_copy=adopt_copy)

    def path(self) -> Path:
        """Return the absolute path of the store's folder."""
        return self._engine.context.folder.path

    def close(self, drain: bool = True) -> None:
        """Close the store. With `drain`, first block until the one-shot runs that were submitted here have ended.

        Without `drain`, and inside a task, wait for nothing: runs continue under their runners, the next host records how they ended, and
        what is queued stays queued until `Client(path).start()`. Idempotent. Does nothing in a forked child.

        Raises:
            DeviceFailed: the store failed during the wait; it was closed anyway.
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


def engine_of(client: Client) -> Engine:
    """Return the engine behind a client. Only by this do REST, the command line and the SDK reach past the handles."""
    return client._engine


def _environments(settings: Settings) -> Environments:
    cache = folders.own_cache_folder(allow_foreign_owner=settings.allow_foreign_owner)
    return Environments(cache, installer=settings.installer, index_urls=settings.index_urls)


class TemporaryClient(Client):
    """A client whose store is removed when it closes."""

    _is_temporary = True

    @staticmethod
    def _folder(path: str | os.PathLike[str] | None) -> StoreFolder:
        if path is not None:
            raise BadArgument("A temporary client takes no path.", hint=PythonOnly("Use Client(path)."), argument="path")
        try:
            recovery.sweep_temporary_stores(folders.temporary_store_folders())
            return folders.temporary_store_folder()
        except OSError as error:
            raise device_error(error, "A temporary store cannot be created") from error

    def close(self, drain: bool = True) -> None:
        """Kill the runs, close the store and remove its folder. Idempotent; `drain` makes no difference.

        Block until the runs have ended: for `grace_seconds` and 12 s more at most.
        """
        shutdown.close_temporary(self._engine)
