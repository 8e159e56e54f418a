"""How the command line spells the names of the Python API that messages and hints mention."""

from __future__ import annotations

from orchlite.core.hints import Api, Language

COMMAND_LINE = Language(
    names={
        Api.ALLOW_REMOTE: "--allow-remote",
        Api.BACKUP: "`orchlite backup`",
        Api.CLIENT_PATH: "--store",
        Api.EXCLUDE: "--exclude",
        Api.GET_WORKSPACE: "--workspace",
        Api.INDEX_URLS: "--index-url",
        Api.KILL: "`orchlite kill`",
        Api.LIST_CONNECTIONS: "`orchlite connections`",
        Api.LIST_MODELS: "`orchlite models`",
        Api.LIST_ORCHESTRATIONS: "`orchlite orchestrations`",
        Api.LIST_PIPELINES: "`orchlite pipelines`",
        Api.LIST_RUNS: "`orchlite runs`",
        Api.LIST_TASKS: "`orchlite tasks`",
        Api.LIST_WORKSPACES: "`orchlite workspaces`",
        Api.PRUNE: "`orchlite prune`",
        Api.RERUN: "`orchlite rerun`",
        Api.RUN_CONTINUOUSLY: "--continuously",
        Api.RUN_SCHEDULED: "`orchlite schedule`",
        Api.START: "`orchlite start`",
        Api.START_ADOPTING: "`orchlite start --adopt-copy`",
        Api.THIRTY_DAYS: "30d",
        Api.TIMEZONE: "--timezone ",
    },
    arguments={
        "accounts": "--accounts",
        "allow_remote": "--allow-remote",
        "base_image": "--base-image",
        "compatibility": "--compatibility",
        "concurrency": "--concurrency",
        "connection_type": "TYPE",
        "cpu_seconds": "--cpu-seconds",
        "details": "--detail",
        "env": "--env",
        "exclude": "--exclude",
        "host": "--host",
        "hosts": "--also-named",
        "index_urls": "--index-url",
        "install_timeout_seconds": "--install-timeout",
        "json_args": "--arg",
        "memory": "--memory",
        "missed": "--missed",
        "name": "--name",
        "nice": "--nice",
        "older_than": "--older-than",
        "on_late": "--on-late",
        "port": "--port",
        "preload": "--preload",
        "replace_pins": "--replace-pins",
        "retries": "--retries",
        "retry_delay": "--retry-delay",
        "retry_unknown": "--retry-unknown",
        "standby_seconds": "--standby",
        "starting_deadline_seconds": "--deadline",
        "timeout": "--timeout",
        "timezone": "--timezone",
    },
    or_raise=", or raise the limit: --limit {field}={value}",
)


def spelled(text: str) -> str:
    """Return a message or a hint of the library in the spelling of the command line."""
    return COMMAND_LINE.spell(text)
