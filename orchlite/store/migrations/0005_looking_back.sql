-- Finding bad ends and skipped slots among many runs, bad ends that nobody has been told of yet, and schedules after the clock was set back.

-- OR, where IN would say the same: to check a list of three for an index costs each write of a run 20 microseconds.
CREATE INDEX runs_ended_badly ON runs (ended_at) WHERE status = 'failure' OR status = 'timed_out' OR status = 'unknown';
CREATE INDEX runs_skipped ON runs (task_id) WHERE status = 'skipped';

ALTER TABLE runs ADD COLUMN to_be_told_by TEXT;             -- the host that is to run on_failure for it, until it has
CREATE INDEX runs_to_be_told ON runs (to_be_told_by) WHERE to_be_told_by IS NOT NULL;

ALTER TABLE tasks ADD COLUMN pruned_until INTEGER;          -- slots up to here may have had runs whose rows are gone
UPDATE tasks SET pruned_until = next_at WHERE kind = 'scheduled';
