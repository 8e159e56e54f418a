"""The fields of the platform's GraphQL schema that orchlite refuses; see `graphql_schema`.

Clients validate their queries before they send them. These fields are there so that a query arrives and is refused by name, with
orchlite's words. Nothing reads their arguments, so all but the ids are of the scalar `jsonb`, which any literal is valid for.
"""

from __future__ import annotations

ABSENT_SCHEMA = """
scalar float8

extend type query_root {
  assay(where: jsonb): [assay!]!
  comment_by_pk(id: bigint!): comment
  search_models(args: jsonb, where: jsonb, order_by: jsonb): [model!]!
  search_pipelines(args: jsonb, distinct_on: jsonb, where: jsonb, order_by: jsonb): [pipeline_version!]!
  tag_by_pk(id: bigint!): tag
}

extend type mutation_root {
  delete_model_tag(where: jsonb): absent_mutation_response
  delete_model_variant_comment(where: jsonb): absent_mutation_response
  delete_pipeline_comment(where: jsonb): absent_mutation_response
  delete_pipeline_tag(where: jsonb): absent_mutation_response
  insert_alert_configuration(objects: jsonb): absent_mutation_response
  insert_deployment_model_configs(objects: jsonb): absent_mutation_response
  insert_model_config(objects: jsonb): model_config_mutation_response
  insert_model_tag(objects: jsonb): absent_mutation_response
  insert_model_variant_comment(objects: jsonb): absent_mutation_response
  insert_pipeline(objects: jsonb): pipeline_mutation_response
  insert_pipeline_comment(objects: jsonb): absent_mutation_response
  insert_pipeline_tag(objects: jsonb): absent_mutation_response
  insert_tag(objects: jsonb): tag_mutation_response
  update_assay_by_pk(pk_columns: jsonb, _set: jsonb): assay
  update_deployment_by_pk(pk_columns: jsonb, _set: jsonb): deployment
  update_model(where: jsonb, _set: jsonb): model_mutation_response
  update_pipeline(where: jsonb, _set: jsonb): pipeline_mutation_response
}

type absent_mutation_response { returning: [absent_row!]! }
type model_config_mutation_response { returning: [model_config!]! }
type model_mutation_response { returning: [model!]! }
type pipeline_mutation_response { returning: [pipeline!]! }
type tag_mutation_response { returning: [tag!]! }

"A row that relates two objects."
type absent_row {
  id: bigint
  comment_id: bigint
  comment_pk_id: bigint
  deployment_id: bigint
  model_config_id: bigint
  model_id: bigint
  model_pk_id: bigint
  pipeline_pk_id: bigint
  tag_id: bigint
  tag_pk_id: bigint
}

type assay {
  id: bigint!
  name: String
  active: Boolean
  status: String
  warning_threshold: Float
  alert_threshold: Float
  pipeline_name: String
}

type comment {
  id: bigint!
  message: String
  user_id: String
  updated_at: timestamptz
  model_variant_comments: [model_variant_comment!]!
  pipeline_comments: [pipeline_comment!]!
}
type model_variant_comment { model: model! }
type pipeline_comment { pipeline: pipeline! }
"""
