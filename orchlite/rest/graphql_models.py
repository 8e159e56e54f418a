"""The resolvers for models, pipelines and deployments. An object is a mapping, whose relations are functions that look them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from orchlite.core.errors import NotFound
from orchlite.core.model_records import DeploymentRow, ModelRow, ModelVersionRow, PipelineRow, PipelineVersionRow
from orchlite.core.pipeline_steps import models_of
from orchlite.core.records import WorkspaceRow
from orchlite.core.version import VERSION
from orchlite.rest import model_serializers, serializers
from orchlite.rest.accounts import OWNER
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.pipeline_queries import PipelineQueries

Node = Mapping[str, Any]
_BIGINT = 2**63


class ModelRoots:
    """The fields of `query_root` about models, pipelines and deployments: each is resolved by the method of its name."""

    def __init__(self, models: ModelQueries, pipelines: PipelineQueries) -> None:
        self._models = models
        self._pipelines = pipelines
        self._nodes = Nodes(models, pipelines)

    def model(self, info: GraphQLResolveInfo[Any], where: Node | None = None) -> list[Node]:
        """Return the versions of models that match, newest first."""
        rows = (version for model in self._models.models() for version in self._models.versions(model.model_id))
        return _selected(map(self._nodes.version_of_model, rows), where)

    def model_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Node | None:  # noqa: A002 - the wire's name
        """Return the version of a model with this id."""
        return _found(lambda: self._nodes.version_of_model(self._models.version(bigint(id))))

    def model_config_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Node | None:  # noqa: A002 - the wire's name
        """Return the configuration of a model's version."""
        return _found(lambda: self._nodes.config(self._models.version(bigint(id))))

    def pipeline(self, info: GraphQLResolveInfo[Any], where: Node | None = None, order_by: Sequence[Node] = ()) -> list[Node]:
        """Return the pipelines that match, newest first unless they are ordered otherwise."""
        return _ordered(_selected(map(self._nodes.pipeline, self._pipelines.pipelines()), where), order_by)

    def pipeline_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Node | None:  # noqa: A002 - the wire's name
        """Return the pipeline with this id."""
        return _found(lambda: self._nodes.pipeline(self._pipelines.pipeline(bigint(id))))

    def pipeline_version_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Node | None:  # noqa: A002 - the wire's name
        """Return the version of a pipeline with this id."""
        return _found(lambda: self._nodes.version_of_pipeline(self._pipelines.version(bigint(id))))

    def deployment(self, info: GraphQLResolveInfo[Any], where: Node | None = None) -> list[Node]:
        """Return the deployments that match."""
        rows = (self._pipelines.deployment_of(pipeline.pipeline_id) for pipeline in self._pipelines.pipelines())
        return _selected((self._nodes.deployment(row) for row in rows if row is not None), where)

    def deployment_by_pk(self, info: GraphQLResolveInfo[Any], id: Any) -> Node | None:  # noqa: A002 - the wire's name
        """Return the deployment with this id."""
        return _found(lambda: self._nodes.deployment(self._pipelines.deployment(bigint(id))))

    def tag(self, info: GraphQLResolveInfo[Any], order_by: Sequence[Node] = ()) -> list[Node]:
        """Return no tags: there are none."""
        return []


class Nodes:
    """The objects of the schema, from rows of the store."""

    def __init__(self, models: ModelQueries, pipelines: PipelineQueries) -> None:
        self._models = models
        self._pipelines = pipelines

    def workspace(self, row: WorkspaceRow) -> Node:
        """Return a workspace with its models and pipelines, newest first."""
        return {
            **serializers.workspace(row),
            "users": [{"user_id": OWNER.user_id}],
            "models": lambda info, order_by=(): _ordered(map(self.model, self._models.models(row.workspace_id)), order_by),
            "pipelines": lambda info: [self.pipeline(each) for each in self._pipelines.pipelines(row.workspace_id)],
        }

    def model(self, row: ModelRow) -> Node:
        """Return a model."""
        versions = self._models.versions(row.model_id)
        return {
            **model_serializers.model(row, versions),
            "workspace": lambda info: self.workspace(self._models.workspace(row.workspace_id)),
            "models": lambda info: [self.version_of_model(version) for version in versions],
        }

    def version_of_model(self, row: ModelVersionRow) -> Node:
        """Return a version of a model."""
        shown = model_serializers.model_version(row)
        conversion: Mapping[str, Any] = shown["conversion"]
        return {
            **shown,
            "conversion": lambda info, path=None: conversion if path is None else conversion.get(path),
            "model": lambda info: self.model(self._models.model(row.model_id)),
            "model_tags": (),
        }

    def config(self, row: ModelVersionRow) -> Node:
        """Return the configuration of a model's version."""
        shown = model_serializers.model_config(row)
        return {**shown, "model_id": row.model_version_id, "model": lambda info: self.version_of_model(row)}

    def pipeline(self, row: PipelineRow) -> Node:
        """Return a pipeline."""
        return {
            **model_serializers.pipeline(row),
            "pipeline_id": row.name,
            "owner_id": OWNER.user_id,
            "visibility": model_serializers.VISIBILITY,
            "workspace_id": row.workspace_id,
            "workspace": lambda info: self.workspace(self._models.workspace(row.workspace_id)),
            "pipeline_versions": lambda info, order_by=(): _ordered(
                map(self.version_of_pipeline, self._pipelines.versions(row.pipeline_id)), order_by
            ),
            "pipeline_tags": (),
            "deployment": lambda info: _optional(self.deployment, self._pipelines.deployment_of(row.pipeline_id)),
        }

    def version_of_pipeline(self, row: PipelineVersionRow) -> Node:
        """Return a version of a pipeline."""
        created_at = serializers.timestamp(row.created_at)
        return {
            "id": row.pipeline_version_id,
            "version": row.version,
            "definition": row.definition,
            "created_on_version": VERSION,
            "created_at": created_at,
            "updated_at": created_at,
            "pipeline_pk_id": row.pipeline_id,
            "pipeline": lambda info: self.pipeline(self._pipelines.pipeline(row.pipeline_id)),
            "deployment_pipeline_versions": lambda info: self._deployments_of(row),
            "deployment_model_configs": lambda info: self._configs(row),
            "pipeline_publishes": (),
        }

    def deployment(self, row: DeploymentRow) -> Node:
        """Return a deployment."""

        def configs() -> list[Node]:
            return self._configs(self._pipelines.version(row.pipeline_version_id))

        return {
            "id": row.deployment_id,
            "deploy_id": row.name,
            "deployed": row.is_deployed,
            "engine_config": row.config,
            "limit_status": None,
            "pipeline_id": row.pipeline_id,
            "pipeline": lambda info: self.pipeline(self._pipelines.pipeline(row.pipeline_id)),
            "deployment_pipeline_versions": lambda info, order_by=(): [self._deployed_version(row)],
            "deployment_model_configs": lambda info: configs(),
            "deployment_model_configs_aggregate": lambda info, distinct_on=(): {"nodes": configs()},
        }

    def _deployments_of(self, version: PipelineVersionRow) -> list[Node]:
        row = self._pipelines.deployment_of(version.pipeline_id)
        return [] if row is None or row.pipeline_version_id != version.pipeline_version_id else [self._deployed_version(row)]

    def _deployed_version(self, row: DeploymentRow) -> Node:
        return {
            "created_at": serializers.timestamp(row.created_at),
            "updated_at": serializers.timestamp(row.updated_at),
            "deployment": lambda info: self.deployment(row),
            "pipeline_version": lambda info: self.version_of_pipeline(self._pipelines.version(row.pipeline_version_id)),
        }

    def _configs(self, version: PipelineVersionRow) -> list[Node]:
        """Return the configurations of the models that a pipeline's version names, without those that were deleted."""
        found = (self._models.find_version(model["version"]) for model in models_of(version.definition))
        return [{"model_config": self.config(row)} for row in found if row is not None]


def bigint(value: Any) -> int:
    """Return an integer of 64 bits.

    Raises:
        GraphQLError: it is something else.
    """
    # Not in the scalar, whose methods are named differently in each minor version of graphql-core.
    if isinstance(value, bool) or not isinstance(value, int) or not -_BIGINT <= value < _BIGINT:
        raise GraphQLError("A bigint is an integer of 64 bits.")
    return value


def _found(look_up: Callable[[], Node]) -> Node | None:
    try:
        return look_up()
    except NotFound:
        return None


def _optional(make: Callable[[DeploymentRow], Node], row: DeploymentRow | None) -> Node | None:
    return None if row is None else make(row)


def _selected(nodes: Iterable[Node], where: Node | None) -> list[Node]:
    return [node for node in nodes if where is None or _matches(node, where)]


def _matches(node: Node, where: Node) -> bool:
    return all(_meets(node, field, condition) for field, condition in where.items() if condition is not None)


def _meets(node: Node, field: str, condition: Any) -> bool:
    if field == "_and":
        return all(_matches(node, each) for each in condition)
    value = node[field]
    if callable(value):
        return _matches(value(None), condition)
    return bool("_eq" not in condition or value == condition["_eq"])


def _ordered(nodes: Iterable[Node], order_by: Sequence[Node] | None) -> list[Node]:
    found = list(nodes)
    for terms in reversed(order_by or ()):
        for field, direction in reversed(list(terms.items())):
            found.sort(key=lambda node: (node[field], node["id"]), reverse=str(direction).startswith("desc"))
    return found
