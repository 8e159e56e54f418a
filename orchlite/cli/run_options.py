"""What verbs that run something share: options about what goes into a bundle, where it is installed from, what programs are given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NamedTuple

import click

from orchlite.cli.key_values import read_arguments, read_environment
from orchlite.cli.options import Duration

ClientSettings = dict[str, Any]


class Source(NamedTuple):
    """How a bundle is made, and its environment."""

    exclude: tuple[str, ...]
    settings: ClientSettings
    """Of the client that takes it in."""


class RunOptions(NamedTuple):
    """What a run is given, and what it is a run of."""

    arguments: dict[str, Any]
    variables: dict[str, str]
    source: Source


takes_exclude = click.option("--exclude", multiple=True, metavar="PATTERN", help="What of a folder is not packed. Repeatable.")
"""Gives a verb this option; it is called with `exclude`, a tuple."""


def takes_installing(function: Callable[..., Any]) -> Any:
    """Give a verb the options about installations; it is called with `installing`, settings of a client."""

    @wraps(function)
    def taking(index_url: tuple[str, ...], install_timeout: timedelta | None, **others: Any) -> Any:
        seconds = None if install_timeout is None else install_timeout.total_seconds()
        return function(installing={"index_urls": index_url, "install_timeout_seconds": seconds}, **others)

    return _with_options(
        taking,
        click.option("--index-url", multiple=True, metavar="URL", help="A package index to install from. Repeatable."),
        click.option("--install-timeout", type=Duration(), help="Give an installation up after so long; 15m by default."),
    )


def takes_source(function: Callable[..., Any]) -> Any:
    """Give a verb the options about bundles and their environments; it is called with `source`."""

    @wraps(function)
    def taking(exclude: tuple[str, ...], base_image: tuple[str, ...], installing: ClientSettings, **others: Any) -> Any:
        return function(source=Source(exclude, {**installing, "base_image": _base_image(base_image)}), **others)

    return _with_options(
        takes_installing(taking),
        takes_exclude,
        click.option(
            "--base-image",
            multiple=True,
            metavar="IMAGE",
            help="What runs see below their requirements: `host`, `clean`, or a requirement (repeatable).",
        ),
    )


def takes_run_options(function: Callable[..., Any]) -> Any:
    """Give a verb the options about what is run and with what; it is called with `order`.

    Raises:
        BadArgument: when it is called, by what an option says.
    """

    @wraps(function)
    def taking(args: tuple[str, ...], args_file: str | None, env: tuple[str, ...], source: Source, **others: Any) -> Any:
        return function(options=RunOptions(read_arguments(args, args_file), read_environment(env), source), **others)

    file_help = "A file with a JSON object of arguments; - is standard input. --arg wins over it."
    env_help = "A variable for the program; without a value, yours. Repeatable."
    return _with_options(
        takes_source(taking),
        click.option("--arg", "args", multiple=True, metavar="K=V", help="An argument of the program: K=text, or K:=JSON. Repeatable."),
        click.option("--args-file", metavar="FILE", help=file_help),
        click.option("--env", "-e", "env", multiple=True, metavar="NAME[=VALUE]", help=env_help),
    )


def _with_options(function: Any, *options: Callable[[Any], Any]) -> Any:
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def _base_image(given: tuple[str, ...]) -> str | list[str] | None:
    return given[0] if given in (("host",), ("clean",)) else list(given) or None
