-- Runs that are executed on a cluster instead of on the machine of their host.

ALTER TABLE runs ADD COLUMN placement TEXT;                 -- JSON object: engine, job_id, session. NULL: on the machine of its host
