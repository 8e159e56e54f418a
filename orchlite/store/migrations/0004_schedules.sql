-- Tasks that run again and again: when they are due, by which rule, and what became of each slot.

ALTER TABLE tasks ADD COLUMN schedule TEXT;                 -- JSON object: the cron expression, its zone and its policies
ALTER TABLE tasks ADD COLUMN next_at INTEGER;               -- the first slot not dealt with, or the next start of a continuous task
ALTER TABLE tasks ADD COLUMN skipped_in_row INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN on_failure TEXT;               -- JSON array: the command to run when a run has ended badly
CREATE INDEX tasks_due ON tasks (next_at) WHERE next_at IS NOT NULL AND status IN ('started', 'crash_loop');

ALTER TABLE runs ADD COLUMN slot_at INTEGER;
ALTER TABLE runs ADD COLUMN slots INTEGER NOT NULL DEFAULT 1;   -- how many slots in a row a skipped run stands for
CREATE UNIQUE INDEX runs_of_slot ON runs (task_id, slot_at) WHERE slot_at IS NOT NULL;
CREATE INDEX runs_unfinished ON runs (task_id) WHERE status IN ('queued', 'running');
