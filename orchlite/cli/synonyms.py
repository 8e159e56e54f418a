"""What a word that orchlite does not know may mean: verbs and options as other tools call them, or misspelt."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

_VERBS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("list", "ls"), ("runs", "tasks", "orchestrations")),
    **dict.fromkeys(("ps", "top", "watch"), ("status",)),
    **dict.fromkeys(("history", "executions", "task-runs", "last-runs", "list-runs"), ("runs",)),
    **dict.fromkeys(("jobs", "schedules", "list-tasks"), ("tasks",)),
    **dict.fromkeys(("bundles", "deployments", "flows", "workflows", "dags"), ("orchestrations",)),
    **dict.fromkeys(("info", "inspect", "describe", "details"), ("show",)),
    **dict.fromkeys(("log", "tail", "output"), ("logs",)),
    **dict.fromkeys(("cancel", "abort", "terminate", "end", "stop-task"), ("kill",)),
    **dict.fromkeys(("stop", "down"), ("kill", "pause")),
    **dict.fromkeys(("disable", "suspend"), ("pause",)),
    **dict.fromkeys(("enable", "unpause", "continue"), ("resume",)),
    **dict.fromkeys(("delete", "rm", "remove", "unschedule"), ("kill", "orchestrations delete", "connections delete", "prune")),
    **dict.fromkeys(("clean", "cleanup", "gc", "purge"), ("prune",)),
    **dict.fromkeys(("start-task", "run-now", "run-task", "fire"), ("trigger",)),
    **dict.fromkeys(("exec", "execute", "submit", "run-once"), ("run",)),
    **dict.fromkeys(("retry", "repeat", "again", "replay"), ("rerun",)),
    **dict.fromkeys(("cron", "deploy", "run-scheduled", "run-continuously"), ("schedule",)),
    **dict.fromkeys(("update", "replace", "redeploy"), ("schedule --replace", "connections update")),
    **dict.fromkeys(("next", "preview"), ("upcoming",)),
    **dict.fromkeys(("daemon", "worker", "scheduler", "agent", "up"), ("start",)),
    **dict.fromkeys(("server", "api", "ui", "web"), ("serve",)),
    **dict.fromkeys(("new", "create"), ("init",)),
    **dict.fromkeys(("lint", "validate"), ("check",)),
    **dict.fromkeys(("build", "zip", "package"), ("pack",)),
    **dict.fromkeys(("push", "register"), ("upload",)),
    **dict.fromkeys(("download", "cp", "artifacts", "results"), ("get", "files")),
    **dict.fromkeys(("verify", "fsck"), ("doctor",)),
    **dict.fromkeys(("help", "docs", "man"), ("manual", "--help")),
    "version": ("--version",),
}
"""By the verb of another tool or of the platform's SDK: what to type behind `orchlite`."""

_SUBCOMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("list", "ls", "show"), ""),
    **dict.fromkeys(("rm", "remove", "kill"), "delete"),
    **dict.fromkeys(("add", "new", "put"), "create"),
    **dict.fromkeys(("edit", "set", "change", "replace"), "update"),
}
"""By another tool's name for a subcommand: ours; empty for the verb alone, which lists."""

_OPTIONS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("--tail", "--lines", "--limit", "--count", "--last"), ("-n",)),
    **dict.fromkeys(("--tz", "--zone", "--time-zone"), ("--timezone",)),
    **dict.fromkeys(("--background", "--no-wait", "--async", "--no-follow"), ("--detach",)),
    **dict.fromkeys(("--param", "--parameter", "--input", "--json-args"), ("--arg",)),
    **dict.fromkeys(("--params", "--args"), ("--args-file", "--arg")),
    **dict.fromkeys(("--var", "--variable", "--environment"), ("--env",)),
    **dict.fromkeys(("--time-limit", "--max-time"), ("--timeout",)),
    **dict.fromkeys(("--retry", "--max-retries", "--attempts"), ("--retries",)),
    **dict.fromkeys(("--backoff", "--retry-backoff"), ("--retry-delay",)),
    **dict.fromkeys(("--overlap", "--parallel", "--concurrency-policy"), ("--concurrency",)),
    **dict.fromkeys(("--catchup", "--catch-up", "--backfill", "--misfire"), ("--missed",)),
    **dict.fromkeys(("--starting-deadline", "--starting-deadline-seconds"), ("--deadline",)),
    **dict.fromkeys(("--image", "--base"), ("--base-image",)),
    **dict.fromkeys(("--notify", "--on-error", "--on-fail", "--alert"), ("--on-failure",)),
    **dict.fromkeys(("--ignore", "--skip"), ("--exclude",)),
    **dict.fromkeys(("--update", "--overwrite"), ("--replace", "--force")),
    **dict.fromkeys(("--failed", "--state", "--filter"), ("--status", "--failed-since")),
    **dict.fromkeys(("--after", "--from"), ("--since", "--failed-since")),
    **dict.fromkeys(("--time", "--times"), ("--timestamps",)),
    **dict.fromkeys(("--show-all", "--killed"), ("--all",)),
    **dict.fromkeys(("--output", "--format", "-o"), ("--output", "--json")),
    **dict.fromkeys(("--db", "--path", "--data"), ("--store",)),
    **dict.fromkeys(("--verbose", "-v", "--trace", "--traceback"), ("--debug",)),
    **dict.fromkeys(("--silent", "-s"), ("--quiet",)),
    "--watch": ("--watch", "--follow"),
}
"""By another tool's option: the options of ours that may be meant. Those that the verb has are suggested."""


class Suggesting(click.Group):
    """A group that refuses an unknown verb with the ones that may be meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its arguments. Calling it raises `UsageError` if there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            if meant := _meant_verbs(ctx, args[0], list(self.commands)):
                raise click.UsageError(_question(f"No such command {args[0]!r:.80}.", meant)) from None
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the verb."""
        with suggesting_options(self, ctx):
            return super().parse_args(ctx, args)


@contextmanager
def suggesting_options(command: click.Command, context: click.Context) -> Iterator[None]:
    """Within the block, an option that the command does not have is refused with the ones that may be meant."""
    try:
        yield
    except click.NoSuchOption as error:
        own = [option for parameter in command.get_params(context) for option in parameter.opts]
        if not (meant := _meant_options(error.option_name.lower().replace("_", "-"), own)):
            raise click.NoSuchOption(error.option_name, ctx=context) from None  # without the guesses of click
        raise click.NoSuchOption(error.option_name, message=_question(error.message, meant)) from None


def _meant_options(name: str, own: Sequence[str]) -> list[str]:
    # Without the hyphens, which make any two options alike.
    return [option for option in _OPTIONS.get(name, ()) if option in own] or [
        f"--{word}" for word in _close(name.strip("-"), [option[2:] for option in own if option.startswith("--")])
    ]


def _meant_verbs(context: click.Context, word: str, verbs: Sequence[str]) -> list[str]:
    """Return complete commands, from `orchlite` on."""
    name = word.lower().replace("_", "-")
    if context.parent is not None:
        known = _SUBCOMMANDS.get(name, name)
        meant = [known] if not known or known in verbs else _close(name, verbs)
    elif name in verbs:
        meant = [name]
    elif name not in _VERBS and Path(word, "main.py").is_file():
        meant = [shlex.join(["run", word])]
    else:
        meant = [*_VERBS.get(name, ())] or _close(name, verbs)
    return [f"{context.command_path} {verb}".rstrip() for verb in meant]


def _question(message: str, meant: Sequence[str]) -> str:
    *first, last = [f"`{one}`" for one in meant]
    return f"{message} Did you mean {' or '.join(filter(None, (', '.join(first), last)))}?"


def _close(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, sorted(known))
