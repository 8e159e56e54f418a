"""Which requests to the API change nothing, so that a read-only server accepts them. Pure."""

from __future__ import annotations

from orchlite.rest.body_rules import TOKEN_PATH

_NAMES = {
    "/v1/api/orchestration/": "get_by_id list list_all",
    "/v1/api/task/": "get_by_id get_logs_for_run get_run_details get_tasks_by_orch_sha list list_task_runs",
    "/v1/api/workspaces/": "list list_users",
    "/v1/api/connections/": "get get_by_id list",
    "/v1/api/models/": "get get_config_by_id get_version_by_id list",
    "/v1/api/pipelines/": "get_pipeline_by_name get_version list_pipelines",
    "/v1/api/status/": "get_deployment",
    "/v1/api/plateau/": "get_pipeline_topic_name get_topic_name",
    "/v1/api/users/": "query",
    "/v1/": "graphql",  # it refuses every mutation
}
_PATHS = frozenset(below + name for below, names in _NAMES.items() for name in names.split()) | {TOKEN_PATH}


def only_reads(method: str, path: str) -> bool:
    """Return whether a request changes nothing in the store. Most of the platform's requests that only read are posted, too."""
    return method in ("GET", "HEAD", "OPTIONS") or path in _PATHS or path.startswith("/v1/logs/topic/")
