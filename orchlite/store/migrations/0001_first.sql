-- Times are microseconds since 1970 in UTC. Ids of orchestrations, tasks and runs are lower-case UUIDs.

CREATE TABLE workspaces (
    workspace_id INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    archived     INTEGER NOT NULL DEFAULT 0
) STRICT;

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
CREATE INDEX orchestrations_of_workspace ON orchestrations (workspace_id, created_at);
CREATE INDEX orchestrations_of_sha ON orchestrations (sha);

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
) STRICT;
CREATE INDEX tasks_of_workspace ON tasks (workspace_id, created_at);
CREATE INDEX tasks_of_orchestration ON tasks (orchestration_id, created_at);

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
) STRICT;
CREATE INDEX runs_of_task ON runs (task_id, number);
CREATE INDEX runs_queued ON runs (number) WHERE status = 'queued';
CREATE INDEX runs_running ON runs (host_id) WHERE status = 'running';

CREATE TABLE events (
    event_id  INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    was       TEXT,
    became    TEXT NOT NULL,
    reason    TEXT
) STRICT;
