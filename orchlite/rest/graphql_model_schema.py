"""The part of the GraphQL schema about models, pipelines and deployments, in the schema language; see `graphql_schema`.

What orchlite does not have is there where the clients' queries name it, and is empty: tags, and pipelines that were published.
"""

from __future__ import annotations

MODEL_SCHEMA = """
scalar jsonb

extend type query_root {
  model(where: model_bool_exp): [model!]!
  model_by_pk(id: bigint!): model
  model_config_by_pk(id: bigint!): model_config
  pipeline(where: pipeline_bool_exp, order_by: [pipeline_order_by!]): [pipeline!]!
  pipeline_by_pk(id: bigint!): pipeline
  pipeline_version_by_pk(id: bigint!): pipeline_version
  "The deployments of all pipelines that were deployed once, newest first."
  deployment(where: deployment_bool_exp): [deployment!]!
  deployment_by_pk(id: bigint!): deployment
  "Nothing: there are no tags."
  tag(order_by: [tag_order_by!]): [tag!]!
}

"A model: a name, under which there are versions."
type models {
  id: bigint!
  name: String!
  owner_id: String!
  created_at: timestamptz!
  updated_at: timestamptz!
  workspace: workspace!
  "Newest first."
  models: [model!]!
}

"A version of a model."
type model {
  id: bigint!
  "The name of the model."
  model_id: String!
  "The UUID of the version."
  model_version: String!
  "The id of the model."
  models_pk_id: bigint!
  owner_id: String!
  sha: String!
  status: String!
  error_summary: String
  file_name: String!
  image_path: String
  visibility: String!
  created_on_version: String
  created_at: timestamptz!
  updated_at: timestamptz!
  conversion(path: String): jsonb
  model: models!
  model_tags: [model_tag!]!
}

type model_config {
  id: bigint!
  "The id of the version."
  model_id: bigint!
  model: model!
  runtime: String
  tensor_fields: jsonb
  filter_threshold: Float
  batch_config: String
  dynamic_batching_config: jsonb
  continuous_batching_config: jsonb
  openai: jsonb
  input_schema: String
  output_schema: String
}

type pipeline {
  id: bigint!
  "The name."
  pipeline_id: String!
  owner_id: String!
  visibility: String!
  created_at: timestamptz!
  updated_at: timestamptz!
  workspace_id: bigint!
  workspace: workspace!
  "Newest first."
  pipeline_versions(order_by: [pipeline_version_order_by!]): [pipeline_version!]!
  pipeline_tags: [pipeline_tag!]!
  deployment: deployment
}

type pipeline_version {
  id: bigint!
  "The UUID."
  version: String!
  definition: jsonb!
  created_on_version: String
  created_at: timestamptz!
  updated_at: timestamptz!
  pipeline_pk_id: bigint!
  pipeline: pipeline!
  deployment_pipeline_versions: [deployment_pipeline_versions!]!
  deployment_model_configs: [deployment_model_configs!]!
  pipeline_publishes: [pipeline_publish!]!
}

type deployment {
  id: bigint!
  "The name."
  deploy_id: String!
  deployed: Boolean!
  engine_config: jsonb
  limit_status: String
  pipeline_id: bigint!
  pipeline: pipeline!
  deployment_pipeline_versions(order_by: [deployment_pipeline_versions_order_by!]): [deployment_pipeline_versions!]!
  deployment_model_configs: [deployment_model_configs!]!
  deployment_model_configs_aggregate(distinct_on: [deployment_model_configs_select_column!]): deployment_model_configs_aggregate!
}

type deployment_pipeline_versions {
  created_at: timestamptz!
  updated_at: timestamptz!
  deployment: deployment!
  pipeline_version: pipeline_version!
}
type deployment_model_configs { model_config: model_config! }
type deployment_model_configs_aggregate { nodes: [deployment_model_configs!]! }

type tag { id: bigint! tag: String! model_tags: [model_tag!]! pipeline_tags: [pipeline_tag!]! }
type model_tag { tag: tag! model: model! }
type pipeline_tag { id: bigint! tag: tag! pipeline: pipeline! }

type pipeline_publish {
  id: bigint!
  pipeline_version_id: bigint
  status: String
  engine_config: jsonb
  engine_url: String
  pipeline_url: String
  chart_url: String
  user_images: jsonb
  created_on_version: String
  created_by: String
  created_at: timestamptz
  updated_at: timestamptz
}

enum deployment_model_configs_select_column { deployment_id }

input model_bool_exp {
  _and: [model_bool_exp!]
  id: bigint_comparison_exp
  model_id: String_comparison_exp
  model_version: String_comparison_exp
  model: models_bool_exp
}
input models_bool_exp { _and: [models_bool_exp!] id: bigint_comparison_exp workspace: workspace_bool_exp }
input workspace_bool_exp { _and: [workspace_bool_exp!] id: bigint_comparison_exp name: String_comparison_exp }
input pipeline_bool_exp {
  _and: [pipeline_bool_exp!]
  id: bigint_comparison_exp
  pipeline_id: String_comparison_exp
  workspace_id: bigint_comparison_exp
  workspace: workspace_bool_exp
}
input deployment_bool_exp { _and: [deployment_bool_exp!] id: bigint_comparison_exp deploy_id: String_comparison_exp }
input models_order_by { id: order_by created_at: order_by updated_at: order_by }
input pipeline_order_by { id: order_by created_at: order_by updated_at: order_by }
input pipeline_version_order_by { id: order_by created_at: order_by updated_at: order_by }
input deployment_pipeline_versions_order_by { pipeline_version: pipeline_version_order_by }
input tag_order_by { id: order_by }
"""
