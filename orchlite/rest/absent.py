"""What the platform has and orchlite does not: it is refused by name, so that a client learns that instead of a bare 404."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchlite.rest.body_rules import INFER_PATH
from orchlite.rest.errors import error_response

if TYPE_CHECKING:
    from fastapi import Response

KIND = "NotEmulated"

_NAMES = {
    "/v1/api/": "user",
    "/v1/api/admin/": "get_pipeline_external_url get_pipeline_internal_url",
    "/v1/api/assays/": "create filter get_assay_by_id get_assay_results get_baseline list run_interactive run_interactive_baseline"
    " set_active summarize",
    "/v2/api/assays/": "get get_next_run get_results preview preview_baseline_binning schedule score set_active",
    "/v1/api/explainability/": "create_config create_request get_config get_request get_result get_status list_configs"
    " list_configs_by_pipeline list_requests",
    "/v1/api/features/": "list",
    "/v1/api/models/": "attach_registry_to_workspace create_registry delete_model delete_model_versions get_by_id get_model_version_by_id"
    " get_registry get_upload_logs list_registries list_registry_model_version_artifacts list_registry_model_versions list_registry_models"
    " list_versions list_versions_for_model remove_registry_from_workspace upload_from_registry upload_stream",
    "/v1/api/pipeline/": "get_publish_status list_published_pipelines publish",
    "/v1/api/pipelines/": "add_edge_to_publish copy delete_pipeline delete_pipeline_versions get_logs get_publish_status"
    " get_sidekick_pod_logs get_sidekick_pods_history list_edges_by_publish_id list_pipeline_versions list_publishes_for_pipeline publish"
    " remove_edge",
    "/v1/api/users/": "activate deactivate edit invite",
    "/v1/api/workspaces/": "remove_user validate",
    "/v1/convert/": "keras sklearn xgboost",
}
_PATHS = frozenset(below + name for below, names in _NAMES.items() for name in names.split())
_PATTERNS = (
    ("GET", re.compile(r"/v1/logs/topic/[^/]+")),  # the partitions of a topic; its records are here
    ("GET", re.compile(r"/v2/api/assays/get/[^/]+")),
    ("POST", re.compile(re.escape(INFER_PATH) + r"[^/]+/[^/]+/openai/v1/(chat/)?completions")),
    ("PUT", re.compile(r"/auth/admin/realms/master/users/[^/]+")),
)


def refusal_of_request(method: str, path: str) -> Response | None:
    """Return the response to a request for an endpoint that only the platform has; None for any other request."""
    if path not in _PATHS and not any(method == each and pattern.fullmatch(path) for each, pattern in _PATTERNS):
        return None
    return error_response(501, message("endpoint", f"{method} {path}"), KIND, {"path": path})


def message(kind: str, name: str) -> str:
    """Return the sentence about an endpoint or a GraphQL field that only the platform has."""
    return f"orchlite does not have the platform's {kind} {name}. The manual's page on REST lists what it has."
