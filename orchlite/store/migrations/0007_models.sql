-- Models, pipelines, deployments and inference logs. Numbers of deleted rows are never used again, because programs keep them.

CREATE TABLE models (
    model_id         INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id     INTEGER NOT NULL REFERENCES workspaces,
    name             TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;

CREATE TABLE model_versions (
    model_version_id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id         INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    version          TEXT NOT NULL UNIQUE,          -- a lower-case UUID
    sha              TEXT NOT NULL,                 -- of the file in the folder `models`
    size_bytes       INTEGER NOT NULL,
    file_name        TEXT NOT NULL,
    framework        TEXT NOT NULL,
    input_schema     BLOB,                          -- of an Arrow IPC stream
    output_schema    BLOB,
    config           TEXT NOT NULL,                 -- JSON object
    arch             TEXT,
    accel            TEXT,
    status           TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX versions_of_model ON model_versions (model_id);
CREATE INDEX model_versions_of_sha ON model_versions (sha);

CREATE TABLE pipelines (
    pipeline_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id     INTEGER NOT NULL REFERENCES workspaces,
    name             TEXT NOT NULL,
    log_rows         INTEGER NOT NULL DEFAULT 0,    -- the sums over its inference logs, so that no insertion has to add them up
    log_bytes        INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;
CREATE INDEX pipelines_of_name ON pipelines (name);

CREATE TABLE pipeline_versions (
    pipeline_version_id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_id      INTEGER NOT NULL REFERENCES pipelines ON DELETE CASCADE,
    version          TEXT NOT NULL UNIQUE,          -- a lower-case UUID
    definition       TEXT NOT NULL,                 -- JSON object
    created_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX versions_of_pipeline ON pipeline_versions (pipeline_id);

CREATE TABLE deployments (
    deployment_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_id      INTEGER NOT NULL UNIQUE REFERENCES pipelines ON DELETE CASCADE,
    pipeline_version_id INTEGER NOT NULL REFERENCES pipeline_versions,
    name             TEXT NOT NULL,
    is_deployed      INTEGER NOT NULL,
    config           TEXT NOT NULL,                 -- JSON object
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX deployments_of_name ON deployments (name);
CREATE INDEX deployments_of_version ON deployments (pipeline_version_id);

CREATE TABLE inference_logs (
    log_id           INTEGER PRIMARY KEY,
    pipeline_id      INTEGER NOT NULL REFERENCES pipelines ON DELETE CASCADE,
    at               INTEGER NOT NULL,
    row_count        INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL,              -- of the data, which is last, so that it is not read with the rest
    schema_key       TEXT NOT NULL,
    data             BLOB NOT NULL                  -- an Arrow IPC stream
) STRICT;
CREATE INDEX logs_of_pipeline ON inference_logs (pipeline_id, at);
