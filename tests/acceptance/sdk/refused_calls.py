"""Calls whatever a server of orchlite's refuses, with either version of the SDK; prints as JSON what each call said.

The store has a pipeline `houses` of the model `house`, which is deployed.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import wallaroo
from wallaroo.tag import Tag

from tests.acceptance.sdk import life, model_life

IS_OLD = importlib.metadata.version("wallaroo").startswith("2023.")


def shared(wl: Any, houses: Any, house: Any, deployment: Any) -> dict[str, Callable[[], Any]]:
    """Return calls that both versions have."""
    tag = Tag(wl, {"id": 7})
    return {
        "create_tag": lambda: wl.create_tag("blue"),
        "tag": tag.tag,
        "tag.add_to_model": lambda: tag.add_to_model(house.id()),
        "tag.remove_from_model": lambda: tag.remove_from_model(house.id()),
        "tag.add_to_pipeline": lambda: tag.add_to_pipeline(houses.id()),
        "tag.remove_from_pipeline": lambda: tag.remove_from_pipeline(houses.id()),
        "tag.list_pipelines": tag.list_pipelines,
        "search_pipelines": lambda: wl.search_pipelines("house", deployed=True),
        "search_models": lambda: wl.search_models("house"),
        "get_raw_logs": lambda: wl.get_raw_logs(houses.get_topic_name()),
        "invite_user": lambda: wl.invite_user("new@ex.co"),
        "list_assays": wl.list_assays,
        "list_model_registries": wl.list_model_registries,
        "create_model_registry": lambda: wl.create_model_registry("r", "t", "http://127.0.0.1:1"),
        "deployment.deploy": deployment.deploy,
        "replace_model": lambda: deployment.replace_configured_model(house.config()),
    }


def newer(wl: Any, houses: Any, house: Any) -> dict[str, Callable[[], Any]]:
    """Return calls that only version 2026.1.3 has."""
    now = datetime.now(UTC)
    return {
        "search_pipelines, by time": lambda: wl.search_pipelines("", workspace_name="default", created_start=now, updated_end=now),
        "search_models, by time": lambda: wl.search_models("", workspace_id=1, uploaded_time_start=now, uploaded_time_end=now),
        "publish": houses.publish,
        "publishes": houses.publishes,
        "list_publishes": wl.list_publishes,
        "list_edges": houses.list_edges,
        "remove_edge": lambda: wl.remove_edge("e"),
        "get_external_url": houses.get_external_url,
        "get_sidekick_pods_history": houses.get_sidekick_pods_history,
        "openai_completion": lambda: houses.openai_completion(prompt="x"),
        "openai_chat_completion": lambda: houses.openai_chat_completion(messages=[]),
        "get_upload_logs": house.get_upload_logs,
    }


def older(wl: Any, houses: Any) -> dict[str, Callable[[], Any]]:
    """Return calls that only version 2023.2.1 has."""
    return {
        "list_explainability_configs": houses.list_explainability_configs,
        "search_my_models": wl.search_my_models,
        "upload_model_stream": lambda: wl._upload_model_stream("house.onnx", {}, b"x"),
    }


def served(wl: Any, houses: Any, deployment: Any) -> life.Facts:
    """Return what calls return that are close to those, and not refused."""
    return {
        "list_deployments": [[each.name(), each.deployed(), len(each.model_configs())] for each in wl.list_deployments()],
        "model_configs": [config.runtime() for config in deployment.model_configs()],
        "async_infer": asyncio.run(inferred(houses)),
    }


async def inferred(houses: Any) -> list[list[float]]:
    """Infer with a client of the caller's."""
    import httpx

    async with httpx.AsyncClient() as client:
        return model_life.outputs(await houses.async_infer(model_life.frame(), client))


def main() -> None:
    """Print the facts."""
    wl = wallaroo.Client()
    houses = wl.pipelines_by_name("houses")[0]
    deployment = wl.deployment_by_name("houses")
    house = wl.get_current_workspace().models()[0].versions()[-1]
    refused = shared(wl, houses, house, deployment) | (older(wl, houses) if IS_OLD else newer(wl, houses, house))
    said = {name: life.refusal(call) for name, call in refused.items()}
    print("\n" + json.dumps({"said": said, "served": served(wl, houses, deployment)}))


if __name__ == "__main__":
    main()
