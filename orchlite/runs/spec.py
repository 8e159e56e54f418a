"""What host and runner exchange about a run: the records, and here, once, the whole protocol.

The host (`runners.py`) and the runner (`runner/`, a program of its own) share files in the run's folder and two pipes. The files are the
truth; the pipes only save the host from polling. Everything is UTF-8 JSON. Times that end in `_at_ns` are nanoseconds since the Unix epoch.

In the run's folder, `runs/<run_id>/`:

`alive.lock`
    Locked exclusively (flock(2)) by the owner for as long as it owns the run; others test it with a shared, non-blocking lock. No process
    that runs user code inherits the descriptor. If its mode lets the account execute it, the owner must end the run: that is how a
    request is made where `cancel` cannot be created, for example because the file system has no inode left.
`started.json`
    Created with O_EXCL by the one attempt that starts the program, or gives it the order, after it has locked `alive.lock`. Keys:
    `attempt`, `pid` (of the runner), `start_ticks` (of the runner, clock ticks after boot; null if the kernel has none), `boot_id` (null
    if the kernel has none), `started_at_ns`, `packages_sha` (that of the spec). As soon as the program is started, or before the order,
    `session` (its process and session id), `session_start_ticks` and `place` (`device:inode` of the run's folder) are added, if the
    kernel has the start time. Not synced to disk: after a power failure the boot id has changed, and the run is never started again.
`cancel`
    Its existence asks the owner, now or later, to end the run; its text is the reason. Written aside and renamed.

In the attempt's folder, `runs/<run_id>/<attempt>/`:

`held`
    The file that the program begins with, while the run is prepared and not ordered. Moving it back sets its time of change (ctime), and
    the times of the working folder. While it is there, no process of the run has executed anything of the program.
`log`, `log.1`, …
    What the program wrote; `runner/log_writer.py` defines the format.
`result.json`
    How the run ended. Written to `result.json.new` and renamed. The runner syncs it to disk only if its host is gone; a living host
    commits the result durably to the database instead. Keys: `run_id`, `attempt`, `status` (`success`, `failure`, `timed_out` or
    `killed`), `exit_code` (128 + n for signal n; null if nothing was started), `started_at_ns` (null if nothing was started),
    `ended_at_ns`, `duration_seconds` (of a monotonic clock; null if nothing was started), `reason` (null if the exit code says all),
    `log_complete` (false if output was lost), `left` (ids of processes that could not be killed), `left_start_ticks` (when they started),
    `packages_sha` (that of the spec; null if nothing was started).

In the program's environment, and so in that of the processes that it starts:

`ORCHLITE_RUN_TOKEN`, `ORCHLITE_RUN_PLACE`
    The run's id, and `device:inode` of the run's folder: by both together the run's processes are found if its runner is dead.

On the pipes, one line of JSON each, and at most one request in flight:

Request, on the runner's standard input
    The fields of `RunSpec`: run it, from the standby if there is one and it fits, else cold. With `"order": "prepare"` in addition:
    take the run's locks and start its program, held at the gate. Any other request than that for the same run drops the standby first;
    `"order": "drop"`, with a `run_id`, does nothing else. End of file means that the host is gone: an idle runner drops its standby and
    exits, a busy one finishes its run first, or cancels it if `leash` is set.
Response, on the runner's standard output
    To a run: `run_id`, `result` (the content of `result.json`), `refused` and `not_preloaded`. If the runner could not become the run's
    owner, `result` is null and `refused` the reason; else `refused` is null. `not_preloaded` is the text of `f`, if the run was started
    cold because of that; else it is null or absent. To `drop`: `run_id` and `dropped`. To `prepare`: none. End of file means that the
    runner is gone.

At the gate, the runner and the program exchange short messages on a socket, whose descriptor the variable `ORCHLITE_GATE` names:

`r`, from the program
    It waits. Until this arrives, nothing is expected of it. Or `f` and a text: why what `preload` names could not be imported; then it
    ends.
`x`, from the runner
    The order. The runner has created `started.json`, moved `held` back, and found the working folder and the interpreter to be the same
    files as at the preparation. From here on, time limit and requests to end the run count.
`y`, from the program
    The acknowledgement, sent before the program's first statement. A process that ends without it has executed nothing of the program,
    whatever its exit code is: the same runner starts the run cold, under the same `started.json`.
End of file, for the program
    The runner is gone, or has dropped the standby: the process ends.

| state                    | `alive.lock` | `started.json` | if the runner dies                                                |
|--------------------------|--------------|----------------|-------------------------------------------------------------------|
| preparing, at the gate   | locked       | no             | end of file ends the program; the run was never started           |
| `started.json`, no `x`   | locked       | yes            | end of file ends the program; the run is lost                     |
| `x`, no `y`              | locked       | yes            | the run is lost; if the program dies here, it is started cold     |
| `y`                      | locked       | yes            | the run is lost                                                   |
"""

from collections.abc import Mapping
from typing import NamedTuple

from orchlite.core.records import Packages, RunResult


class RunSpec(NamedTuple):
    """Everything that a runner needs to own a run; the request on its pipe has these keys."""

    run_id: str
    attempt: int
    folder: str
    """The run's folder, absolute."""
    command: tuple[str, ...]
    """The absolute path of the program, and its arguments."""
    working_folder: str
    env: Mapping[str, str]
    """The complete environment of the program."""
    log: str
    """The absolute path of the log's first segment."""
    timeout_seconds: float | None
    grace_seconds: float
    """The time between SIGTERM and SIGKILL."""
    log_bytes: int
    """Upper bound on the size of the log."""
    leash: bool
    """True: the run is cancelled when its host is gone."""
    environment_lock: str | None = None
    """A file that the runner locks (flock, shared) during the run, so that the environment is not removed."""
    masked: bool = False
    """True: credentials in URLs that the program prints are masked before they are written to the log."""
    memory_bytes: int | None = None
    """Upper bound on the address space of each process."""
    cpu_seconds: int | None = None
    """Upper bound on the processor time of each process."""
    nice: int = 0
    """Added to the niceness of the runner."""
    packages_sha: str | None = None
    """The SHA-256 of the list of packages that the program sees; for the result."""
    preload: tuple[str, ...] = ()
    """Modules that are imported while the run stands by."""


class Ended(NamedTuple):
    """The run has a result."""

    attempt: int
    result: RunResult
    packages: Packages | None = None
    """What the program saw installed, if it was executed on another machine and that is known."""
    metrics: Mapping[str, float] | None = None
    """What the program wrote to `metrics.json`, likewise."""


class Alive:
    """The run has an owner."""


class NeverStarted(NamedTuple):
    """The run has no owner, and no attempt has started its program."""

    reason: str | None = None
    """Why the last attempt did not, if its runner has said so."""


class Lost(NamedTuple):
    """The run's program was started; its owner is gone, and there is no result."""

    attempt: int | None
    """None if `started.json` cannot be read."""
    reason: str | None = None
    """Why its outcome is not known, if that is not the end of its runner alone."""


Observation = Ended | Alive | NeverStarted | Lost
"""What the files of a run say at one moment."""
