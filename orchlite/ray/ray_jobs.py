"""Runs as jobs of a Ray cluster: implements `runs.cluster.Cluster` over the REST API of its head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from orchlite.core.arguments import checked_count, checked_seconds
from orchlite.core.durations import Duration
from orchlite.core.errors import BadArgument, DeviceFailed
from orchlite.core.hints import Argument
from orchlite.core.records import Placement
from orchlite.ray.jobs_api import JobsApi, Submission
from orchlite.ray.packages import Packages
from orchlite.ray.poller import Poller
from orchlite.ray.watch import StopOrder, Watch
from orchlite.runs import job_packages
from orchlite.runs.cluster import ClusterRefused, ClusterUnreachable, Job, PlacedRun
from orchlite.runs.spec import Observation

_LEAST_LOST_AFTER_SECONDS = 61
_RESOURCES = {"CPU": 1.0}


class RayJobs:
    """A Ray cluster on which the runs of a store are executed: `Client(path, engine=RayJobs("http://head:8265"))`.

    Needs no `ray` here; its nodes need Python, virtualenv, packaging, platformdirs, and pip or uv. Thread-safe.

    Raises:
        DeviceFailed: Ray does not respond, or does not accept this client or a run. The client of the store handles that.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        resources: Mapping[str, float] | None = None,
        max_runs: int | None = None,
        lost_after: Duration = 600,
    ) -> None:
        """Contact nothing yet.

        url: the address of the head's dashboard, by default on port 8265.
        token: what the cluster was started with as RAY_AUTH_TOKEN, if it wants one.
        resources: what each run occupies on its node, by Ray's names: `{"CPU": 1}` by default; `{"CPU": 4, "GPU": 1}`.
        max_runs: how many runs one host has on the cluster at a time, by default as many as it has workers.
        lost_after: how long the cluster may be out of reach before its runs become `unknown`, more than 60 s: for so long, a node that has
            lost its head keeps what it runs.

        Raises:
            BadArgument: an argument is wrong.
        """
        self.url = _checked_url(url)
        self.name = f"ray at {self.url}"  # a session alone does not tell another cluster from one that was started again
        if token is not None and (not isinstance(token, str) or not token.isascii() or not token.isprintable()):
            raise BadArgument(Argument("token") + " is no text of printable ASCII characters.", argument="token")
        self.resources = _checked_resources(resources)
        self.max_runs = None if max_runs is None else checked_count(max_runs, "max_runs", 1)
        self.lost_after_seconds = checked_seconds(lost_after, "lost_after")
        if self.lost_after_seconds < _LEAST_LOST_AFTER_SECONDS:
            hint = f"It takes {_LEAST_LOST_AFTER_SECONDS} seconds or more: for 60 s, a node that has lost its head keeps what it runs."
            raise BadArgument(Argument("lost_after") + f" is {self.lost_after_seconds:g} seconds.", hint=hint, argument="lost_after")
        self._api = JobsApi(self.url, token)
        self._packages = Packages(self._api)
        self._stops: dict[str, StopOrder] = {}
        self._poller = Poller()

    def __repr__(self) -> str:
        return f"RayJobs({self.url!r})"

    def reserve(self, run_id: str, attempt: int) -> Placement:
        """Return where the run would be placed; see `Cluster`."""
        return Placement(self.name, f"orchlite-{run_id}-{attempt}", self._api.session())

    def place(self, job: Job, placement: Placement) -> None:
        """Have the run executed; see `Cluster`."""
        session = self._api.session()
        if session != placement.session:
            raise ClusterUnreachable(f"Ray at {self.url} was started again meanwhile.")
        send = self._packages.send
        submission = Submission(
            job_id=placement.job_id,
            command=f"exec {' '.join(job_packages.COMMAND)}",  # the shell that Ray starts would take the signals
            working_package=self._packages.send_document(placement.job_id, job_packages.document(job.document)),
            path_packages=(
                send(session, "code", job_packages.code),
                send(session, job.sha, lambda: job_packages.bundle(job.bundle, job.sha)),
            ),
            resources=self.resources,
        )
        self._poller.check_open()  # else the next host may have recorded by now that the run was killed before it was placed
        try:
            self._api.submit(submission)
        except (ClusterUnreachable, ClusterRefused):
            if not self._has(placement):  # else it was placed before
                raise

    def _has(self, placement: Placement) -> bool:
        """Return whether the cluster has the job.

        Raises:
            ClusterUnreachable: that cannot be found out.
        """
        try:
            return self._api.job(placement.job_id) is not None
        except ClusterRefused as error:  # refuses the question; it may have accepted the run
            raise ClusterUnreachable(error.message, hint=error.hint) from error

    def wait(self, run: PlacedRun, report: Callable[[str], None]) -> Observation:
        """Block until the run has ended or is lost; see `Cluster`."""
        job_id = run.placement.job_id
        try:
            watch = Watch(self._api, run, self.lost_after_seconds, report, lambda: self._stops.get(job_id), self._poller.lock_of_logs)
            return self._poller.wait(watch)
        finally:
            self._stops.pop(job_id, None)

    def cancel(self, run: PlacedRun, reason: str) -> None:
        """Ask the cluster to end the run; see `Cluster`."""
        job_id = run.placement.job_id
        self._stops[job_id] = StopOrder(reason, is_accepted=False)  # first: its result may be read before the response
        info = self._api.job(job_id)
        if info is not None and info.status == "PENDING":
            # Ray sends the signal as soon as it has started the command, which may not notice it so early.
            with suppress(DeviceFailed):  # the signal is sent anyway
                self._packages.empty_document(job_id)
        if self._api.stop(job_id):
            self._stops[job_id] = StopOrder(reason, is_accepted=True)
        elif (info := self._api.job(job_id)) is not None and not info.has_ended:
            raise DeviceFailed(f"Ray at {self.url} is preparing the start of the job {job_id}, and cannot stop it yet.")

    def close(self) -> None:
        """Let `wait` raise `Closed`. The jobs continue."""
        self._poller.close()


def _checked_url(url: object) -> str:
    if not isinstance(url, str):
        raise BadArgument(
            Argument("url") + f" is of type {type(url).__name__}.", hint='It takes a text: "http://head:8265".', argument="url"
        )
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        is_usable = is_usable and parts.username is None and parts.port != 0
    except ValueError:  # a port that is none, or brackets around no address
        is_usable = False
    if not is_usable:
        hint = 'It takes the address of the head\'s dashboard: "http://head:8265".'
        raise BadArgument(Argument("url") + f" is {url!r:.200}.", hint=hint, argument="url")
    return url.rstrip("/")


def _checked_resources(resources: Any) -> dict[str, float]:
    if resources is None:
        return dict(_RESOURCES)
    hint = 'It takes amounts above 0 by name, at least one: {"CPU": 1}.'
    if not isinstance(resources, Mapping) or not resources:
        raise BadArgument(Argument("resources") + f" is {resources!r:.200}.", hint=hint, argument="resources")
    for name, amount in resources.items():
        is_amount = isinstance(amount, int | float) and not isinstance(amount, bool) and 0 < amount < float("inf")
        if not isinstance(name, str) or not name or not is_amount:
            raise BadArgument(Argument("resources") + f" is {resources!r:.200}.", hint=hint, argument="resources")
    return dict(resources)
