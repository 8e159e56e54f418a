-- The metrics that runs have left.

CREATE TABLE run_metrics (
    run_id  TEXT PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
    metrics TEXT NOT NULL                        -- JSON: an object of finite numbers
) WITHOUT ROWID, STRICT;
