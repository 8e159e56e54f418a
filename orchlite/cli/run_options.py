"""Options that `upload`, `run`, `schedule` and the hosts share: what a bundle contains, where packages come from, what programs get."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NamedTuple

import click

from orchlite.cli.key_values import read_arguments, read_environment, read_lines
from orchlite.cli.options import Duration, ShellCommand, limit_option, seconds_of
from orchlite.environments.base_image import CLEAN, HOST
from orchlite.environments.pin_sets import NAMES

ClientSettings = dict[str, Any]
"""Keyword arguments of `Client`; None and () stand for its defaults."""


Commands = dict[str, Any]
"""Notification commands, by the name of the argument in Python: `on_failure` and others."""


class Source(NamedTuple):
    """How a bundle and its environment are made."""

    exclude: tuple[str, ...]
    settings: ClientSettings


class RunOptions(NamedTuple):
    """What a run gets, and how its bundle is made."""

    arguments: dict[str, Any]
    variables: dict[str, str]
    source: Source


_ON = {
    "failure": "Shell command to run after a run has failed, with ORCHLITE_RUN_ID and others in its environment.",
    "success": "Shell command to run after a run has succeeded.",
    "late": "Shell command to run when a run is late by more than a minute, or was missed.",
}
SEEN = "Other users can see your command line."


def bundle_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with `--exclude`, passed as the tuple `exclude`, and `--limit`."""
    exclude_help = "Leave matching files out of the bundle. Repeatable."
    return _decorated(function, click.option("--exclude", multiple=True, metavar="PATTERN", help=exclude_help), limit_option)


def install_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for installing packages, passed as `installing`."""

    @wraps(function)
    def wrapper(index_url: tuple[str, ...], index_url_file: str | None, install_timeout: timedelta | None, **others: Any) -> Any:
        urls = (*([] if index_url_file is None else read_lines(index_url_file, "--index-url-file")), *index_url)
        return function(installing={"index_urls": urls, "install_timeout_seconds": seconds_of(install_timeout)}, **others)

    return _decorated(
        wrapper,
        click.option("--index-url", multiple=True, metavar="URL", help=f"Install packages from this index. Repeatable. {SEEN}"),
        click.option("--index-url-file", metavar="FILE", help="Read indexes from a file, one URL per line; - is standard input."),
        click.option("--install-timeout", type=Duration(), help="Time limit of an installation.  [default: 15m]"),
    )


def image_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for the base image and for replacing pins, passed as `images`."""

    @wraps(function)
    def wrapper(base_image: tuple[str, ...], replace_pins: tuple[str, ...], **others: Any) -> Any:
        return function(images={"base_image": _name_or_list(base_image), "replace_pins": _name_or_list(replace_pins)}, **others)

    image_help = "Packages that runs see besides their requirements: `host`, `clean`, `platform`, `platform-2023`, or one (repeatable)."
    pins_help = "Versions to install where a bundle pins others: `platform`, `platform-2023`, or a requirement (repeatable)."
    return _decorated(
        wrapper,
        click.option("--base-image", multiple=True, metavar="IMAGE", help=image_help),
        click.option("--replace-pins", multiple=True, metavar="SET", help=pins_help),
    )


def environment_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for environments, those of `install_options` among them, passed as `installing`."""

    @wraps(function)
    def wrapper(images: ClientSettings, installing: ClientSettings, **others: Any) -> Any:
        return function(installing={**installing, **images}, **others)

    return install_options(image_options(wrapper))


def source_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for bundles and their environments, passed as `source`."""

    @wraps(function)
    def wrapper(exclude: tuple[str, ...], installing: ClientSettings, **others: Any) -> Any:
        return function(source=Source(exclude, installing), **others)

    return bundle_options(environment_options(wrapper))


def run_options(function: Callable[..., Any]) -> Any:
    """Decorate a verb with the options for what a run gets, passed as `options`. Calling it raises `BadArgument` for invalid ones."""

    @wraps(function)
    def wrapper(
        args: tuple[str, ...], args_file: str | None, env: tuple[str, ...], env_file: str | None, source: Source, **others: Any
    ) -> Any:
        return function(options=RunOptions(read_arguments(args, args_file), read_environment(env, env_file), source), **others)

    file_help = "Read arguments from a JSON object in a file; - is standard input. --arg overrides them."
    env_help = f"Set an environment variable; NAME alone passes yours on. Repeatable. {SEEN}"
    env_file_help = "Read variables from a file, one NAME=VALUE or NAME per line; - is standard input. --env overrides them."
    return _decorated(
        source_options(wrapper),
        click.option("--arg", "args", multiple=True, metavar="K=V", help=f"Pass an argument: K=text, or K:=JSON. Repeatable. {SEEN}"),
        click.option("--args-file", metavar="FILE", help=file_help),
        click.option("--env", "-e", "env", multiple=True, metavar="NAME[=VALUE]", help=env_help),
        click.option("--env-file", metavar="FILE", help=env_file_help),
    )


def notification_options(*events: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that adds an option for the command of each event, passed together as `commands`."""
    options = [click.option(f"--on-{event}", type=ShellCommand(), help=_ON[event]) for event in events]

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def wrapper(**others: Any) -> Any:
            return function(commands={f"on_{event}": others.pop(f"on_{event}") for event in events}, **others)

        return _decorated(wrapper, *options)

    return decorate


def _decorated(function: Any, *decorators: Callable[[Any], Any]) -> Any:
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _name_or_list(values: tuple[str, ...]) -> str | list[str] | None:
    return values[0] if len(values) == 1 and values[0] in (HOST, CLEAN, *NAMES) else list(values) or None
