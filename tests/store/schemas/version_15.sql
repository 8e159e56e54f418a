-- What a store of schema version 15 holds, as SQL: every table has rows. Never change it; stores like it exist.
BEGIN TRANSACTION;
CREATE TABLE connections (
    connection_id TEXT PRIMARY KEY NOT NULL,      -- a lower-case UUID
    name          TEXT NOT NULL UNIQUE,
    type          TEXT NOT NULL,
    details       TEXT NOT NULL,                  -- JSON object, secret: shown to nobody who does not ask for it
    created_at    INTEGER NOT NULL
) STRICT;
INSERT INTO "connections" VALUES('00000000-0000-4000-8000-000000000031','warehouse','sql','{"host": "db.example.org", "port": 5432}',1713369799756251);
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
INSERT INTO "deployments" VALUES(1,1,1,'prices',0,'{}',1713369803756251,1713369804756251);
CREATE TABLE events (
    event_id  INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    was       TEXT,
    became    TEXT NOT NULL,
    reason    TEXT
, kind TEXT NOT NULL DEFAULT 'run') STRICT;
INSERT INTO "events" VALUES(1,1713369799756251,'00000000-0000-4000-8000-000000000001',NULL,'pending_packaging',NULL,'orchestration');
INSERT INTO "events" VALUES(2,1713369799756251,'00000000-0000-4000-8000-000000000011',NULL,'pending',NULL,'task');
INSERT INTO "events" VALUES(3,1713369799756251,'00000000-0000-4000-8000-000000000021',NULL,'queued',NULL,'run');
INSERT INTO "events" VALUES(4,1713369802756251,'00000000-0000-4000-8000-000000000001','packaging','ready',NULL,'orchestration');
INSERT INTO "events" VALUES(5,1713369803756251,'00000000-0000-4000-8000-000000000002','packaging','error','No matching distribution found for six==99','orchestration');
INSERT INTO "events" VALUES(6,1713369806756251,'00000000-0000-4000-8000-000000000023','running','failure',NULL,'run');
INSERT INTO "events" VALUES(7,1713369807756251,'00000000-0000-4000-8000-000000000024','running','killed','killed on request','run');
INSERT INTO "events" VALUES(8,1713369807756251,'00000000-0000-4000-8000-000000000014','pending_kill','killed',NULL,'task');
INSERT INTO "events" VALUES(9,1713369808756251,'00000000-0000-4000-8000-000000000031',NULL,'created','its name is ''warehouse''','connection');
CREATE TABLE identity (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    path      TEXT NOT NULL,                        -- of the store's folder, when it was last opened
    device    TEXT NOT NULL,                        -- of the database's file: a decimal number, which may exceed 63 bits
    inode     TEXT NOT NULL,
    boot_id   TEXT NOT NULL,                        -- devices may be renumbered when the machine boots
    is_copy   INTEGER NOT NULL DEFAULT 0            -- 1: schedules wait until the copy is adopted
) STRICT;
INSERT INTO "identity" VALUES(1,'/home/ada/store','2049','131842','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',0);
CREATE TABLE inference_logs (
    log_id           INTEGER PRIMARY KEY,
    pipeline_id      INTEGER NOT NULL REFERENCES pipelines ON DELETE CASCADE,
    at               INTEGER NOT NULL,
    row_count        INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL,              -- of the data, which is last, so that it is not read with the rest
    schema_key       TEXT NOT NULL,
    data             BLOB NOT NULL                  -- an Arrow IPC stream
) STRICT;
INSERT INTO "inference_logs" VALUES(1,1,1713369804756251,1,3,'in.tensor',X'010203');
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
INSERT INTO "model_versions" VALUES(1,1,'00000000-0000-4000-8000-000000000041','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',399,'house.onnx','onnx',NULL,NULL,'{"tensor_fields": ["tensor"]}','x86','none','ready',1713369800756251,1713369801756251);
CREATE TABLE models (
    model_id         INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id     INTEGER NOT NULL REFERENCES workspaces,
    name             TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;
INSERT INTO "models" VALUES(1,2,'house-price',1713369800756251);
CREATE TABLE orchestrations (
    orchestration_id TEXT PRIMARY KEY NOT NULL,
    workspace_id     INTEGER NOT NULL REFERENCES workspaces,
    name             TEXT,
    file_name        TEXT NOT NULL,
    sha              TEXT NOT NULL,
    size_bytes       INTEGER NOT NULL,
    entrypoint       TEXT NOT NULL,
    requirements     TEXT NOT NULL,             -- JSON array of lines
    warnings         TEXT NOT NULL,             -- JSON array of texts
    base_image       TEXT NOT NULL,
    status           TEXT NOT NULL,
    reason           TEXT,
    environment_key  TEXT,
    installed        TEXT NOT NULL DEFAULT '[]', -- JSON array of name==version
    task_id          TEXT NOT NULL UNIQUE,       -- the packaging task
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
INSERT INTO "orchestrations" VALUES('00000000-0000-4000-8000-000000000001',1,'daily','daily.zip','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1234,'main.py','["six==1.17.0"]','["Left out: .git"]','host','ready',NULL,'0123456789abcdef','["six==1.17.0"]','00000000-0000-4000-8000-000000000011',1713369799756251,1713369802756251);
INSERT INTO "orchestrations" VALUES('00000000-0000-4000-8000-000000000002',2,NULL,'daily.zip','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1234,'main.py','["six==1.17.0"]','["Left out: .git"]','host','error','No matching distribution found for six==99',NULL,'[]','00000000-0000-4000-8000-000000000012',1713369800756251,1713369803756251);
CREATE TABLE package_lists (
    package_list_id INTEGER PRIMARY KEY,
    sha             TEXT NOT NULL UNIQUE,       -- SHA-256 of packages
    packages        TEXT NOT NULL               -- JSON object: python, installed, host
) STRICT;
INSERT INTO "package_lists" VALUES(1,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','{"python": "3.11.2", "installed": ["six==1.17.0"], "host": []}');
CREATE TABLE pipeline_versions (
    pipeline_version_id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_id      INTEGER NOT NULL REFERENCES pipelines ON DELETE CASCADE,
    version          TEXT NOT NULL UNIQUE,          -- a lower-case UUID
    definition       TEXT NOT NULL,                 -- JSON object
    created_at       INTEGER NOT NULL
) STRICT;
INSERT INTO "pipeline_versions" VALUES(1,1,'00000000-0000-4000-8000-000000000042','{"id": "prices", "steps": [{"ModelInference": {"models": [{"name": "house-price", "version": "00000000-0000-4000-8000-000000000041", "sha": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}]}}]}',1713369803756251);
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
INSERT INTO "pipelines" VALUES(1,2,'prices',1,3,1713369802756251,1713369803756251);
CREATE TABLE run_metrics (
    run_id  TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    metrics TEXT NOT NULL                        -- JSON: an object of finite numbers
) WITHOUT ROWID, STRICT;
INSERT INTO "run_metrics" VALUES('00000000-0000-4000-8000-000000000023','{"auc": 0.83, "rows": 1200}');
CREATE TABLE runs (
    number           INTEGER PRIMARY KEY,       -- the order of submission
    run_id           TEXT NOT NULL UNIQUE,
    task_id          TEXT NOT NULL REFERENCES tasks ON DELETE CASCADE,
    status           TEXT NOT NULL,
    attempt          INTEGER NOT NULL DEFAULT 0,
    submitted_by     TEXT NOT NULL,             -- the host that is to claim it, or any that works for the whole store
    host_id          TEXT,                      -- the host that claimed it
    boot_id          TEXT,                      -- the boot in which it was claimed
    created_at       INTEGER NOT NULL,
    claimed_at       INTEGER,
    started_at       INTEGER,
    ended_at         INTEGER,
    duration_seconds REAL,
    exit_code        INTEGER,
    reason           TEXT,
    kill_requested   INTEGER NOT NULL DEFAULT 0,
    log_complete     INTEGER NOT NULL DEFAULT 1
, waits INTEGER NOT NULL DEFAULT 0, slot_at INTEGER, slots INTEGER NOT NULL DEFAULT 1, to_be_told_by TEXT, version_id INTEGER REFERENCES task_versions ON DELETE CASCADE, retry_of TEXT, try INTEGER NOT NULL DEFAULT 1, not_before INTEGER, rerun_of TEXT, repeated_slot_at INTEGER, late_told_by TEXT, package_list_id INTEGER REFERENCES package_lists (package_list_id)) STRICT;
INSERT INTO "runs" VALUES(1,'00000000-0000-4000-8000-000000000021','00000000-0000-4000-8000-000000000011','success',1,'host-1','host-1','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',1713369799756251,1713369800756251,1713369800756251,1713369802756251,2.0,NULL,NULL,0,1,0,NULL,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,1);
INSERT INTO "runs" VALUES(2,'00000000-0000-4000-8000-000000000022','00000000-0000-4000-8000-000000000012','failure',1,'host-1','host-1','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',1713369800756251,1713369801756251,1713369801756251,1713369803756251,2.0,1,'No matching distribution found for six==99',0,1,0,NULL,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,'00000000-0000-4000-8000-000000000023','00000000-0000-4000-8000-000000000013','failure',1,'host-1','host-1','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',1713369804756251,1713369805756251,1713369805756251,1713369806756251,1.25,1,NULL,0,1,0,NULL,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(4,'00000000-0000-4000-8000-000000000024','00000000-0000-4000-8000-000000000014','killed',1,'host-1','host-1','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',1713369805756251,1713369806756251,1713369806756251,1713369807756251,0.75,143,'killed on request',1,0,0,NULL,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(5,'00000000-0000-4000-8000-000000000025','00000000-0000-4000-8000-000000000015','queued',0,'host-1',NULL,NULL,1713369808756251,NULL,NULL,NULL,NULL,NULL,NULL,0,1,0,NULL,1,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(6,'00000000-0000-4000-8000-000000000026','00000000-0000-4000-8000-000000000016','timed_out',1,'host-1','host-1','6c9ff1a6-1c5c-4d27-9d6c-6f6f7d1f1a11',1713369809756251,1713369809756251,1713369809756251,1713369810756251,1.0,143,NULL,0,1,0,1713369809756251,1,NULL,1,NULL,1,NULL,NULL,NULL,'',NULL);
INSERT INTO "runs" VALUES(7,'00000000-0000-4000-8000-000000000027','00000000-0000-4000-8000-000000000016','skipped',0,'host-1',NULL,NULL,1713369811756251,NULL,NULL,1713369811756251,NULL,NULL,'missed: no host was at work',0,1,0,1713369811756251,2,NULL,NULL,NULL,1,NULL,NULL,NULL,'',NULL);
CREATE TABLE task_versions (
    version_id       INTEGER PRIMARY KEY,
    task_id          TEXT NOT NULL REFERENCES tasks ON DELETE CASCADE,
    orchestration_id TEXT NOT NULL REFERENCES orchestrations ON DELETE CASCADE,
    arguments        TEXT NOT NULL,             -- this and the others as in tasks
    timeout_seconds  REAL,
    debug            INTEGER NOT NULL,
    env              TEXT NOT NULL,
    env_passthrough  TEXT NOT NULL,
    replaced_at      INTEGER NOT NULL
, resources TEXT) STRICT;
INSERT INTO "task_versions" VALUES(1,'00000000-0000-4000-8000-000000000016','00000000-0000-4000-8000-000000000002','{"before": true}',NULL,0,'{}','[]',1713369811756251,NULL);
CREATE TABLE tasks (
    task_id          TEXT PRIMARY KEY NOT NULL,
    workspace_id     INTEGER NOT NULL REFERENCES workspaces,
    orchestration_id TEXT NOT NULL REFERENCES orchestrations ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    kind             TEXT NOT NULL,
    name             TEXT,
    arguments        TEXT NOT NULL,             -- JSON object
    timeout_seconds  REAL,
    debug            INTEGER NOT NULL,
    env              TEXT NOT NULL,             -- JSON object
    env_passthrough  TEXT NOT NULL,             -- JSON array of names
    status           TEXT NOT NULL,
    reason           TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
, schedule TEXT, next_at INTEGER, skipped_in_row INTEGER NOT NULL DEFAULT 0, on_failure TEXT, pruned_until INTEGER, schedule_since INTEGER, retry TEXT, on_success TEXT, on_late TEXT, resources TEXT) STRICT;
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000011',1,'00000000-0000-4000-8000-000000000001','packaging',NULL,'{}',NULL,0,'{}','[]','started',NULL,1713369799756251,1713369800756251,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000012',2,'00000000-0000-4000-8000-000000000002','packaging',NULL,'{}',NULL,0,'{}','[]','started',NULL,1713369800756251,1713369801756251,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000013',1,'00000000-0000-4000-8000-000000000001','once','greet','{"name": "Ada"}',60.5,1,'{"LEVEL": "high"}','["TOKEN"]','started',NULL,1713369804756251,1713369805756251,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,'{"memory_bytes": 1073741824, "cpu_seconds": null, "nice": 10}');
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000014',1,'00000000-0000-4000-8000-000000000001','once',NULL,'{}',NULL,0,'{}','[]','killed',NULL,1713369805756251,1713369807756251,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000015',1,'00000000-0000-4000-8000-000000000001','once',NULL,'{}',NULL,0,'{}','[]','pending',NULL,1713369808756251,1713369808756251,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES('00000000-0000-4000-8000-000000000016',2,'00000000-0000-4000-8000-000000000002','scheduled','hourly','{}',NULL,0,'{}','[]','paused',NULL,1713369808756251,1713369811756251,'{"expression": "0 * * * *", "timezone": "Europe/Berlin", "concurrency": "forbid", "missed": "all", "starting_deadline_seconds": 90.5}',1713369819756251,2,'["logger", "a run has failed"]',1713369819756251,NULL,NULL,'["true"]','["logger", "late"]',NULL);
CREATE TABLE workspace_connections (
    workspace_id  INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    PRIMARY KEY (workspace_id, connection_id)
) WITHOUT ROWID, STRICT;
INSERT INTO "workspace_connections" VALUES(2,'00000000-0000-4000-8000-000000000031');
CREATE TABLE workspaces (
    workspace_id INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    archived     INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "workspaces" VALUES(1,'default',1713369799756251,0);
INSERT INTO "workspaces" VALUES(2,'ml-models',1713369800756251,0);
CREATE INDEX orchestrations_of_workspace ON orchestrations (workspace_id, created_at);
CREATE INDEX orchestrations_of_sha ON orchestrations (sha);
CREATE INDEX runs_of_task ON runs (task_id, number);
CREATE INDEX runs_queued ON runs (number) WHERE status = 'queued';
CREATE INDEX runs_running ON runs (host_id) WHERE status = 'running';
CREATE INDEX workspaces_of_connection ON workspace_connections (connection_id);
CREATE INDEX tasks_due ON tasks (next_at) WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop');
CREATE UNIQUE INDEX runs_of_slot ON runs (task_id, slot_at) WHERE slot_at IS NOT NULL;
CREATE INDEX runs_unfinished ON runs (task_id) WHERE status IN ('queued', 'running');
CREATE INDEX runs_ended_badly ON runs (ended_at) WHERE status = 'failure' OR status = 'timed_out' OR status = 'unknown';
CREATE INDEX runs_skipped ON runs (task_id) WHERE status = 'skipped';
CREATE INDEX runs_to_be_told ON runs (to_be_told_by) WHERE to_be_told_by IS NOT NULL;
CREATE INDEX versions_of_model ON model_versions (model_id);
CREATE INDEX model_versions_of_sha ON model_versions (sha);
CREATE INDEX pipelines_of_name ON pipelines (name);
CREATE INDEX versions_of_pipeline ON pipeline_versions (pipeline_id);
CREATE INDEX deployments_of_name ON deployments (name);
CREATE INDEX deployments_of_version ON deployments (pipeline_version_id);
CREATE INDEX logs_of_pipeline ON inference_logs (pipeline_id, at);
CREATE INDEX runs_of_task_updated ON runs (task_id, COALESCE(ended_at, claimed_at, created_at), number);
CREATE INDEX tasks_of_workspace ON tasks (workspace_id, updated_at);
CREATE INDEX tasks_of_orchestration ON tasks (orchestration_id, updated_at);
CREATE INDEX versions_of_task ON task_versions (task_id);
CREATE INDEX task_versions_of_orchestration ON task_versions (orchestration_id);
CREATE INDEX runs_of_version ON runs (version_id) WHERE version_id IS NOT NULL;
CREATE UNIQUE INDEX runs_retried ON runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX runs_pending_tries ON runs (not_before) WHERE status = 'queued' AND not_before IS NOT NULL;
CREATE INDEX runs_late_to_be_told ON runs (late_told_by) WHERE late_told_by > '';
CREATE INDEX runs_late ON runs (claimed_at) WHERE claimed_at > slot_at + 60000000;
CREATE INDEX runs_skipped_at ON runs (ended_at) WHERE status = 'skipped';
CREATE INDEX runs_of_package_list ON runs (package_list_id) WHERE package_list_id IS NOT NULL;
CREATE INDEX events_at ON events (at);
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX tasks_of_name ON tasks (name, created_at) WHERE name IS NOT NULL;
CREATE INDEX tasks_recurring ON tasks (status) WHERE kind = 'scheduled' OR kind = 'continuous';
CREATE INDEX runs_unsuccessful ON runs (number) WHERE status = 'failure' OR status = 'timed_out' OR status = 'unknown' OR status = 'killed';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('models',1);
INSERT INTO "sqlite_sequence" VALUES('model_versions',1);
INSERT INTO "sqlite_sequence" VALUES('pipelines',1);
INSERT INTO "sqlite_sequence" VALUES('pipeline_versions',1);
INSERT INTO "sqlite_sequence" VALUES('deployments',1);
COMMIT;
PRAGMA user_version = 15;
