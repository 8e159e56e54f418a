"""Whatever the real SDK asks for is served or refused by name, so that its user reads what orchlite does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLError, build_schema, parse, validate

import orchlite
from orchlite import rest
from orchlite.rest.graphql_schema import SCHEMA
from tests.acceptance.sdk.conftest import Run, printed
from tests.acceptance.sdk.real_sdk import SDK_2023, SDK_2026, InstallStep
from tests.onnx_models import weighing
from tests.rest.sdk_calls import PATHS

pytestmark = pytest.mark.slow

_INVALID = {"CreatePipeline", "AddCommentToPipeline"}
"""Queries that are no valid GraphQL by any schema."""
_COMPOSED = {"GetPipelines", "GetModels", "ModelByName", "PipelineByName"}
"""Queries that the SDK composes of its arguments; the other tests send them."""

_SILENT = {
    "invite_user": "Exception: Failed to invite user",
    "list_assays": "Exception: Failed to get assays",
    "list_model_registries": "Exception: Failed to list all Model Registries",
}
_SILENT_2023 = _SILENT | {"create_model_registry": "Exception: Failed to create Model Registry connection"}
_SILENT_2026 = _SILENT | {
    "get_external_url": "Exception: Failed to get pipeline external url",
    "get_upload_logs": "Exception: Failed to find logs for this model upload.",
    "list_edges": "Exception: Failed to list publishes for pipeline",
    "list_publishes": "Exception: Failed to list publishes for pipeline",
    "publishes": "Exception: Failed to list publishes for pipeline",
}
"""Calls of which the SDK itself says something, and shows nothing of a response."""


def invalid_queries(queries: dict[str, str]) -> set[str]:
    """Return the names of queries that the server's schema does not allow."""
    schema = build_schema(SCHEMA)
    return {query.split("(")[0].split()[1] for query in queries.values() if not _is_valid(schema, query)}


def _is_valid(schema: Any, query: str) -> bool:
    try:
        return not validate(schema, parse(query))
    except GraphQLError:
        return False


def test_the_table_of_calls_is_read_off_both_sdks(run: Run) -> None:
    old, new = (printed(run(sdk, "-m", "wire_calls")) for sdk in (SDK_2023, SDK_2026))
    assert {*old["paths"], *new["paths"]} == PATHS
    assert invalid_queries(old["queries"]) | invalid_queries(new["queries"]) == _INVALID | _COMPOSED


@pytest.mark.parametrize(("sdk", "silent"), [(SDK_2026, _SILENT_2026), (SDK_2023, _SILENT_2023)], ids=["2026", "2023"])
def test_the_sdk_shows_what_orchlite_does_not_have(
    client: orchlite.Client,
    server: rest.Server,
    run: Run,
    tmp_path: Path,
    sdk: tuple[InstallStep, ...],
    silent: dict[str, str],
) -> None:
    model = client.upload_model("house", weighing(tmp_path / "house.onnx", [1.0, 2.0, 3.0]))
    client.build_pipeline("houses").add_model_step(model).deploy()
    facts = printed(run(sdk, "-m", "refused_calls", variables=server.environment()))
    shown = {name: text for name, text in facts["said"].items() if "orchlite does not have the platform" in text}
    assert facts["said"].keys() - shown.keys() == silent.keys()
    assert facts["said"] == shown | silent
    assert facts["served"] == {"list_deployments": [["houses", True, 1]], "model_configs": ["onnx"], "async_infer": [[14.0], [33.5]]}
