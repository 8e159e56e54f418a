-- Commands for successful runs and late slots, and finding late and skipped slots among many runs.

ALTER TABLE tasks ADD COLUMN on_success TEXT;               -- JSON array, as on_failure
ALTER TABLE tasks ADD COLUMN on_late TEXT;                  -- JSON array, as on_failure
ALTER TABLE runs ADD COLUMN late_told_by TEXT;              -- the host that is to run on_late for it, and empty once nobody has to
CREATE INDEX runs_late_to_be_told ON runs (late_told_by) WHERE late_told_by > '';
CREATE INDEX runs_late ON runs (claimed_at) WHERE claimed_at > slot_at + 60000000;
CREATE INDEX runs_skipped_at ON runs (ended_at) WHERE status = 'skipped';
