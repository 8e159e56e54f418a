"""Options of the verbs that execute runs, for runs that a Ray cluster executes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from orchlite.cli.options import Converter, Duration
from orchlite.cli.output import Output
from orchlite.core.errors import BadArgument

if TYPE_CHECKING:
    from orchlite.ray import RayJobs

TOKEN_VARIABLE = "ORCHLITE_RAY_TOKEN"  # noqa: S105 - the name of a variable
_OTHERS = ("ray_resource", "ray_runs", "ray_lost_after")


class _Resource(Converter):
    """What a run occupies on a node: `CPU=2`, `GPU=1`, or a resource that the cluster was started with."""

    name = "resource"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, float]:
        """Return the resource's name and the amount."""
        if not isinstance(value, str):
            return (value[0], value[1])
        name, _, amount = value.partition("=")
        try:
            return name, float(amount)
        except ValueError:
            self.fail(f"{value!r:.80} is no resource: write CPU=2 or GPU=1.", parameter, context)


def ray_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with `--ray` and its options, passed as `engine`: None, or a `RayJobs`. Calling it raises `BadArgument`."""

    @wraps(function)
    def wrapper(ray: str | None, **others: Any) -> Any:
        given = {name: others.pop(name) for name in _OTHERS}
        return function(engine=_engine(ray, **given), **others)

    options = (
        click.option(
            "--ray",
            metavar="URL",
            help=f"Execute runs on the Ray cluster with this dashboard: http://head:8265. Its token is read from {TOKEN_VARIABLE}.",
        ),
        click.option(
            "--ray-resource",
            type=_Resource(),
            multiple=True,
            metavar="NAME=AMOUNT",
            help="What a run occupies there. Repeatable.  [default: CPU=1]",
        ),
        click.option(
            "--ray-runs", type=click.IntRange(1), metavar="N", help="Number of runs there at the same time.  [default: that of --workers]"
        ),
        click.option(
            "--ray-lost-after",
            type=Duration(),
            metavar="DURATION",
            help="How long the cluster may be out of reach before its runs become unknown; more than 60s.  [default: 10m]",
        ),
    )
    decorated: Any = wrapper
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def log_if_on_cluster(engine: RayJobs | None, out: Output) -> None:
    """If a cluster executes the runs, print on standard error what this host does, as `start` does: it may be out of reach for long."""
    if engine is not None and not out.is_quiet:
        from orchlite.cli.host_log import log_to_stderr  # `logging` is slow to import

        log_to_stderr()


def _engine(
    url: str | None, ray_resource: tuple[tuple[str, float], ...], ray_runs: int | None, ray_lost_after: timedelta | None
) -> RayJobs | None:
    if url is None:
        if ray_resource or ray_runs is not None or ray_lost_after is not None:
            raise BadArgument("Options for Ray have no effect without --ray.", hint="--ray URL names the cluster.", argument="ray")
        return None
    from orchlite.ray import RayJobs

    settings: dict[str, Any] = {} if ray_lost_after is None else {"lost_after": ray_lost_after}
    token = os.environ.get(TOKEN_VARIABLE) or None
    return RayJobs(url, token=token, resources=dict(ray_resource) or None, max_runs=ray_runs, **settings)
