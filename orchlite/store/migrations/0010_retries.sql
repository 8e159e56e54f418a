-- Runs that repeat others: tries after a failure, and reruns on request.

ALTER TABLE tasks ADD COLUMN retry TEXT;                    -- JSON object: how often a failed run is tried again, and when. NULL: never

ALTER TABLE runs ADD COLUMN retry_of TEXT;                  -- the failed run that this one tries again
ALTER TABLE runs ADD COLUMN try INTEGER NOT NULL DEFAULT 1; -- 1, or one more than that of the run in retry_of
ALTER TABLE runs ADD COLUMN not_before INTEGER;             -- when a try may start. NULL: at once
ALTER TABLE runs ADD COLUMN rerun_of TEXT;                  -- the run that this one repeats on request
ALTER TABLE runs ADD COLUMN repeated_slot_at INTEGER;       -- the slot of the first try, or of the run that is repeated
CREATE UNIQUE INDEX runs_retried ON runs (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX runs_pending_tries ON runs (not_before) WHERE status = 'queued' AND not_before IS NOT NULL;
