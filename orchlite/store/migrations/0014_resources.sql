-- Limits of what the programs of a task may use.

ALTER TABLE tasks ADD COLUMN resources TEXT;                -- JSON object: memory_bytes, cpu_seconds, nice. NULL: no limits
ALTER TABLE task_versions ADD COLUMN resources TEXT;        -- as in tasks
