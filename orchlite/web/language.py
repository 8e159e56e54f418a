"""How the page spells the names of the Python API that messages and hints mention: as the command line does."""

from __future__ import annotations

from orchlite.core.hints import Api, Language

PAGE = Language(
    names={
        Api.ALLOW_REMOTE: "--allow-remote",
        Api.BACKUP: "`orchlite backup`",
        Api.CLIENT_PATH: "--store",
        Api.EXCLUDE: "--exclude",
        Api.GET_WORKSPACE: "the choice of a workspace",
        Api.INDEX_URLS: "--index-url",
        Api.KILL: "Kill",
        Api.LIST_CONNECTIONS: "`orchlite connections`",
        Api.LIST_MODELS: "the page of models",
        Api.LIST_ORCHESTRATIONS: "the page of orchestrations",
        Api.LIST_PIPELINES: "the page of pipelines",
        Api.LIST_RUNS: "`orchlite runs`",
        Api.LIST_TASKS: "the start page",
        Api.LIST_WORKSPACES: "`orchlite workspaces`",
        Api.PRUNE: "`orchlite prune`",
        Api.RERUN: "Run again",
        Api.RUN_CONTINUOUSLY: "`orchlite schedule --continuously`",
        Api.RUN_SCHEDULED: "`orchlite schedule`",
        Api.START: "`orchlite start`",
        Api.START_ADOPTING: "`orchlite start --adopt-copy`",
        Api.THIRTY_DAYS: "30d",
        Api.TIMEZONE: "time zone ",
    },
    arguments={"json_args": "arguments"},
)
