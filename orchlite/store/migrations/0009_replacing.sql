-- What tasks ran before they were replaced, for the runs that were started before that.

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
) STRICT;
CREATE INDEX versions_of_task ON task_versions (task_id);
CREATE INDEX task_versions_of_orchestration ON task_versions (orchestration_id);

ALTER TABLE runs ADD COLUMN version_id INTEGER REFERENCES task_versions ON DELETE CASCADE;  -- NULL: its task as it is now
CREATE INDEX runs_of_version ON runs (version_id) WHERE version_id IS NOT NULL;

ALTER TABLE tasks ADD COLUMN schedule_since INTEGER;        -- when it got its schedule, if that was after its creation
