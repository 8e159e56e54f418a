-- Finding the few among a million: what happened or was created since a time, tasks by name, recurring tasks, and runs that ended badly.

CREATE INDEX events_at ON events (at);
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX tasks_of_name ON tasks (name, created_at) WHERE name IS NOT NULL;
CREATE INDEX tasks_recurring ON tasks (status) WHERE kind = 'scheduled' OR kind = 'continuous';
CREATE INDEX runs_unsuccessful ON runs (number) WHERE status = 'failure' OR status = 'timed_out' OR status = 'unknown' OR status = 'killed';
