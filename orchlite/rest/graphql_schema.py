"""The part of the platform's GraphQL schema that its clients need, in the schema language.

The clients fetch it by introspection and validate their queries against it, so all names are the platform's, including those of arguments
and inputs. Users are not managed here: fields about them are accepted and have no effect.
"""

from __future__ import annotations

from orchlite.rest.graphql_absent_schema import ABSENT_SCHEMA
from orchlite.rest.graphql_model_schema import MODEL_SCHEMA

SCHEMA = (
    """
schema { query: query_root mutation: mutation_root }

scalar bigint
scalar bpchar
scalar timestamptz
scalar uuid

type query_root {
  "The orchestration with this id, or null."
  orchestration_by_pk(id: uuid!): orchestration
  "The workspace with this id, or null."
  workspace_by_pk(id: bigint!): workspace
  "The workspace that every user starts in."
  user_default_workspace(where: user_default_workspace_bool_exp): [user_default_workspace!]!
}

type mutation_root {
  "A new workspace. With on_conflict, an existing one of this name is returned instead."
  insert_workspace_one(object: workspace_insert_input!, on_conflict: workspace_on_conflict): workspace
  "Has no effect: every workspace belongs to all users."
  delete_workspace_users(where: workspace_users_bool_exp!): workspace_users_mutation_response
}

type orchestration {
  id: uuid!
  name: String
  file_name: String
  owner_id: String!
  sha: bpchar!
  status: String!
  task_id: uuid
  workspace_id: bigint!
  created_at: timestamptz!
  updated_at: timestamptz!
  image_path: String
  created_on_version: String
  file_size: bigint
  created_by: String
}

type workspace {
  id: bigint!
  name: String!
  created_at: timestamptz!
  created_by: String
  archived: Boolean!
  users: [workspace_users!]!
  models(order_by: [models_order_by!]): [models!]!
  pipelines: [pipeline!]!
}

type workspace_users { user_id: String! }
type user_default_workspace { user_id: String! workspace: workspace! }
type workspace_users_mutation_response { affected_rows: Int! }

enum order_by { asc asc_nulls_first asc_nulls_last desc desc_nulls_first desc_nulls_last }
enum workspace_constraint { workspace_name_key workspace_pkey }
enum workspace_update_column { archived created_at created_by id name owner_id }

input String_comparison_exp { _eq: String }
input bigint_comparison_exp { _eq: bigint }
input user_default_workspace_bool_exp { user_id: String_comparison_exp }
input workspace_users_bool_exp {
  _and: [workspace_users_bool_exp!]
  user_id: String_comparison_exp
  workspace_id: bigint_comparison_exp
}

input workspace_insert_input {
  name: String
  owner_id: String
  created_by: String
  archived: Boolean
  users: workspace_users_arr_rel_insert_input
  user_default_workspaces: user_default_workspace_arr_rel_insert_input
}
input workspace_users_arr_rel_insert_input { data: [workspace_users_insert_input!]! }
input workspace_users_insert_input { user_id: String user_type: String }
input user_default_workspace_arr_rel_insert_input { data: [user_default_workspace_insert_input!]! }
input user_default_workspace_insert_input { user_id: String }
input workspace_on_conflict { constraint: workspace_constraint! update_columns: [workspace_update_column!]! = [] }
"""
    + MODEL_SCHEMA
    + ABSENT_SCHEMA
)
