"""The endpoints `pipelines/…` but inference, and those about deployments and topics of logs."""

from __future__ import annotations

from fastapi import APIRouter, Response

from orchlite.core.errors import BadArgument, Conflict
from orchlite.core.model_records import PipelineRow, PipelineVersionRow
from orchlite.rest import model_requests, model_responses, model_serializers, response_models, serializers
from orchlite.rest.dependencies import ClientDialect, JsonRoute, Models, Pipelines
from orchlite.rest.errors import HTTPError
from orchlite.rest.model_queries import ModelQueries
from orchlite.rest.pipeline_queries import PipelineQueries
from orchlite.rest.serializers import Dialect

router = APIRouter(prefix="/v1/api", tags=["pipelines"], route_class=JsonRoute)


@router.post("/pipelines/create", response_model=model_responses.CreatedPipeline)
def create(body: model_requests.CreatePipeline, pipelines: Pipelines) -> Response:
    """Store a version of a pipeline, which is created if it is missing."""
    version = pipelines.build(body.workspace_id, body.pipeline_id, body.definition)
    created = model_responses.CreatedPipeline(
        pipeline_pk_id=version.pipeline_id, pipeline_variant_pk_id=version.pipeline_version_id, pipeline_variant_version=version.version
    )
    return serializers.json_response(created)


@router.post("/pipelines/list_pipelines", response_model=model_responses.Pipelines)
def list_all(pipelines: Pipelines, models: Models, body: model_requests.OfWorkspace | None = None) -> Response:
    """List the pipelines of a workspace, or all, newest first."""
    rows = pipelines.pipelines(None if body is None else models.selected_workspace(body.workspace_id, body.workspace_name))
    return serializers.json_response(model_responses.Pipelines(pipelines=[_response(row, models) for row in rows]))


@router.post("/pipelines/get_pipeline_by_name", response_model=model_responses.PipelineResponse)
def get_pipeline_by_name(body: model_requests.PipelineNamed, pipelines: Pipelines, models: Models) -> Response:
    """Get a pipeline of a workspace."""
    return serializers.json_response(_response(pipelines.pipeline_in(body.workspace_id, body.pipeline_name), models))


def _response(row: PipelineRow, models: ModelQueries) -> model_responses.PipelineResponse:
    return model_serializers.pipeline_response(row, models.workspace(row.workspace_id))


@router.post("/pipelines/get_version", response_model=model_responses.PipelineVersion)
def get_version(body: model_requests.PipelineVersionNamed, pipelines: Pipelines) -> Response:
    """Get a version of a pipeline with its steps."""
    version = pipelines.version_named(body.version)
    return serializers.json_response(model_serializers.pipeline_version(version, pipelines.pipeline(version.pipeline_id).name))


@router.post("/pipelines/deploy", response_model=model_responses.IntegerId)
def deploy(body: model_requests.DeployPipeline, pipelines: Pipelines, dialect: ClientDialect) -> Response:
    """Deploy a version of a pipeline in place of what is deployed. It runs at once. Returns the deployment's id."""
    try:
        deployment = pipelines.deploy(_version_to_deploy(body, pipelines), body.deploy_id, body.engine_config)
    except Conflict as error:
        if dialect is Dialect.OLD:
            raise HTTPError(error, 500) from error  # the only status whose message a client of 2023 shows
        raise
    return serializers.json_response(model_responses.IntegerId(id=deployment.deployment_id))


def _version_to_deploy(body: model_requests.DeployPipeline, pipelines: PipelineQueries) -> PipelineVersionRow:
    if body.pipeline_version_pk_id is not None:
        return pipelines.version(body.pipeline_version_pk_id)
    if body.pipeline_version is not None:
        return pipelines.version_named(body.pipeline_version)
    if body.pipeline_id is not None:
        return pipelines.newest_version(body.pipeline_id)
    raise BadArgument("There is no pipeline version.", hint="Send pipeline_version_pk_id.", argument="pipeline_version_pk_id")


@router.post("/pipelines/undeploy", response_model=response_models.Nothing)
def undeploy(body: model_requests.UndeployPipeline, pipelines: Pipelines) -> Response:
    """Undeploy a pipeline. Idempotent."""
    if body.deployment_id is not None:
        pipelines.undeploy(pipelines.deployment(body.deployment_id).pipeline_id)
    elif body.pipeline_id is not None:
        pipelines.undeploy(pipelines.pipeline(body.pipeline_id).pipeline_id)
    else:
        raise BadArgument("There is no deployment.", hint="Send deployment_id or pipeline_id.", argument="deployment_id")
    return serializers.json_response(response_models.Nothing())


@router.post("/status/get_deployment", response_model=model_responses.DeploymentStatus)
def get_deployment(body: model_requests.DeploymentNamed, pipelines: Pipelines) -> Response:
    """Get the status of a deployment, `NAME-ID`; 404 if it was undeployed."""
    return serializers.json_response(pipelines.status(body.name))


@router.post("/plateau/get_topic_name", response_model=model_responses.Topic)
def get_topic_name(body: model_requests.TopicOfPipeline, pipelines: Pipelines) -> Response:
    """Get the topic of a pipeline's logs."""
    return serializers.json_response(model_responses.Topic(topic_name=model_serializers.topic(_pipeline_of_topic(body, pipelines))))


@router.post("/plateau/get_pipeline_topic_name", response_model=model_responses.Topic)
def get_pipeline_topic_name(body: model_requests.TopicOfPipeline, pipelines: Pipelines) -> Response:
    """Get the topic of a pipeline's logs, by the pipeline's name."""
    return get_topic_name(body, pipelines)


def _pipeline_of_topic(body: model_requests.TopicOfPipeline, pipelines: PipelineQueries) -> PipelineRow:
    if body.pipeline_pk_id is not None:
        return pipelines.pipeline(body.pipeline_pk_id)
    if body.pipeline_name is None:
        raise BadArgument("There is no pipeline.", hint="Send pipeline_pk_id or pipeline_name.", argument="pipeline_pk_id")
    if body.workspace_id is None:
        return pipelines.pipeline_named(body.pipeline_name)
    return pipelines.pipeline_in(body.workspace_id, body.pipeline_name)
