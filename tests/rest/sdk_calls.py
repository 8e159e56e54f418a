"""What the two versions of the platform's SDK may ask of a server; a test in `tests/acceptance/sdk` reads it off their sources.

A 7 stands for what only a call knows, and a path that ends with a slash for one that continues with it.
"""

from __future__ import annotations

_NAMES = {
    "/auth/admin/realms/master/": "users",
    "/auth/admin/realms/master/users/": "7",
    "/v1/": "graphql",
    "/v1/api/": "config user",
    "/v1/api/admin/": "get_pipeline_external_url get_pipeline_internal_url",
    "/v1/api/assays/": "create filter get_assay_by_id get_assay_results get_baseline list run_interactive run_interactive_baseline"
    " set_active summarize",
    "/v1/api/connections/": "add_to_workspace create delete get get_by_id list remove_from_workspace",
    "/v1/api/explainability/": "create_config create_request get_config get_request get_result get_status list_configs"
    " list_configs_by_pipeline list_requests",
    "/v1/api/features/": "list",
    "/v1/api/models/": "7 attach_registry_to_workspace create_registry delete_model delete_model_versions get get_by_id get_config_by_id"
    " get_model_version_by_id get_registry get_upload_logs get_version_by_id insert_model_config list list_registries"
    " list_registry_model_version_artifacts list_registry_model_versions list_registry_models list_versions list_versions_for_model"
    " remove_registry_from_workspace upload upload_and_convert upload_from_registry upload_stream",
    "/v1/api/orchestration/": "delete_orchestrations download get_by_id list list_all upload",
    "/v1/api/pipeline/": "get_publish_status list_published_pipelines publish",
    "/v1/api/pipelines/": "add_edge_to_publish copy create delete_pipeline delete_pipeline_versions deploy get_logs get_pipeline_by_name"
    " get_publish_status get_sidekick_pod_logs get_sidekick_pods_history get_version list_edges_by_publish_id list_pipeline_versions"
    " list_pipelines list_publishes_for_pipeline publish remove_edge undeploy",
    "/v1/api/pipelines/infer/": "7",
    "/v1/api/plateau/": "get_pipeline_topic_name get_topic_name",
    "/v1/api/status/": "get_deployment",
    "/v1/api/task/": "get_by_id get_logs_for_run get_run_details get_tasks_by_orch_sha kill list list_task_runs pause run_continuously"
    " run_once run_scheduled",
    "/v1/api/users/": "activate deactivate invite query",
    "/v1/api/workspaces/": "add_user create list list_users remove_user validate",
    "/v1/convert/": "keras sklearn xgboost",
    "/v1/logs/topic/7/": "records",
    "/v2/api/assays/": "get get_next_run get_results preview preview_baseline_binning schedule score set_active",
}
PATHS = frozenset(below + name for below, names in _NAMES.items() for name in names.split()) | {"/v1/logs/topic/", "/v2/api/assays/get/"}

CONCRETE_PATHS = {
    "/auth/admin/realms/master/users/7": [
        ("GET", "/auth/admin/realms/master/users/{user_id}"),
        ("PUT", "/auth/admin/realms/master/users/7"),
    ],
    "/v1/api/models/7": [("POST", "/v1/api/models/upload"), ("POST", "/v1/api/models/upload_and_convert")],
    "/v1/api/pipelines/infer/7": [
        ("POST", "/v1/api/pipelines/infer/{deployment}/{pipeline}"),
        ("POST", "/v1/api/pipelines/infer/house-1/house/openai/v1/completions"),
        ("POST", "/v1/api/pipelines/infer/house-1/house/openai/v1/chat/completions"),
    ],
    "/v1/logs/topic/": [("GET", "/v1/logs/topic/x")],
    "/v1/logs/topic/7/records": [("POST", "/v1/logs/topic/{topic}/records")],
    "/v2/api/assays/get/": [("GET", "/v2/api/assays/get/7")],
    "/v1/api/config": [("GET", "/v1/api/config")],
    "/v1/api/orchestration/download": [("GET", "/v1/api/orchestration/download")],
    "/auth/admin/realms/master/users": [("GET", "/auth/admin/realms/master/users")],
}
"""The methods and addresses of paths that are not sent as they are, by POST; what is served is called as in the OpenAPI document."""

REFUSED_QUERIES = {
    "assay": "query GetAssay($id: bigint) { assay(where: {id: {_eq: $id}}) { id name active status warning_threshold alert_threshold } }",
    "comment_by_pk": "query CommentById($id: bigint!) { comment_by_pk(id: $id) { id updated_at message user_id } }",
    "delete_model_tag": """mutation RemoveTagFromModel($id: bigint!) {
        delete_model_tag(where: {_and: [{model_id: {_eq: $id}} {tag_id: {_eq: $id}}]}) { returning { model_id tag_id } }
    }""",
    "delete_model_variant_comment": """mutation RemoveCommentFromModel($id: bigint!) {
        delete_model_variant_comment(where: {_and: [{model_id: {_eq: $id}}]}) { returning { model_id comment_id } }
    }""",
    "delete_pipeline_comment": """mutation RemoveCommentFromPipeline($id: bigint!) {
        delete_pipeline_comment(where: {_and: [{comment_pk_id: {_eq: $id}}]}) { returning { pipeline_pk_id comment_pk_id } }
    }""",
    "delete_pipeline_tag": """mutation RemoveTagFromPipeline($id: bigint!) {
        delete_pipeline_tag(where: {_and: [{tag_pk_id: {_eq: $id}}]}) { returning { pipeline_pk_id tag_pk_id } }
    }""",
    "insert_alert_configuration": """mutation CreateAlertConfiguration($id: bigint) {
        insert_alert_configuration(objects: {name: "a", pipeline_version_pk_id: $id}) { returning { id } }
    }""",
    "insert_deployment_model_configs": """mutation ReplaceModel($id: bigint!) {
        insert_deployment_model_configs(objects: {deployment_id: $id, model_config_id: $id}) { returning { id model_config_id } }
    }""",
    "insert_model_config": """mutation ConfigureModel($id: bigint!, $threshold: float8) {
        insert_model_config(objects: {model_id: $id, filter_threshold: $threshold}) { returning { id model_id model { id } } }
    }""",
    "insert_model_tag": """mutation AddTagToModel($id: bigint!) {
        insert_model_tag(objects: {model_id: $id, tag_id: $id}) { returning { model_id tag_id } }
    }""",
    "insert_model_variant_comment": """mutation AddCommentToModel($id: bigint!) {
        insert_model_variant_comment(objects: {model_pk_id: $id}) { returning { model_pk_id comment_id } }
    }""",
    "insert_pipeline": "mutation CreatePipeline($id: bigint) { insert_pipeline(objects: {workspace_id: $id}) { returning { id } } }",
    "insert_pipeline_comment": """mutation AddCommentToPipeline($id: bigint!) {
        insert_pipeline_comment(objects: {pipeline_pk_id: $id}) { returning { pipeline_pk_id comment_id } }
    }""",
    "insert_pipeline_tag": """mutation AddTagToPipeline($id: bigint!) {
        insert_pipeline_tag(objects: {pipeline_pk_id: $id}) { returning { pipeline_pk_id tag_pk_id } }
    }""",
    "insert_tag": 'mutation CreateTag { insert_tag(objects: {tag: "x"}) { returning { id tag } } }',
    "search_models": """query GetModels($id: bigint) {
        search_models(args: {search: "x"}, where: {id: {_gte: $id}}, order_by: {created_at: desc}) { id }
    }""",
    "search_pipelines": """query GetPipelines($id: bigint) {
        search_pipelines(args: {search: "x"}, distinct_on: id, where: {id: {_gte: $id}}, order_by: {id: desc}) { id pipeline_pk_id }
    }""",
    "tag_by_pk": "query TagById { tag_by_pk(id: 7) { id tag model_tags { model { id } } pipeline_tags { pipeline { id } } } }",
    "update_assay_by_pk": """mutation SetActive($id: bigint!) {
        update_assay_by_pk(pk_columns: {id: $id}, _set: {alert_threshold: 0.5}) { id active }
    }""",
    "update_deployment_by_pk": """mutation Deploy($id: bigint!) {
        update_deployment_by_pk(pk_columns: {id: $id} _set: {deployed: true}) { id deploy_id deployed }
    }""",
    "update_model": """mutation UpdateModelVisibility($id: bigint!) {
        update_model(where: {id: {_eq: $id}}, _set: {visibility: "public"}) { returning { id model_id visibility } }
    }""",
    "update_pipeline": """mutation UpdatePipelineVisibility($id: bigint!) {
        update_pipeline(where: {id: {_eq: $id}}, _set: {visibility: "public"}) { returning { id pipeline_id visibility } }
    }""",
}
"""Queries for what orchlite does not have, shortened, by their root."""
