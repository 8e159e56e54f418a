-- Lists of runs and tasks begin with what changed last, as the platform's do.

CREATE INDEX runs_of_task_updated ON runs (task_id, COALESCE(ended_at, claimed_at, created_at), number);

DROP INDEX tasks_of_workspace;
DROP INDEX tasks_of_orchestration;
CREATE INDEX tasks_of_workspace ON tasks (workspace_id, updated_at);
CREATE INDEX tasks_of_orchestration ON tasks (orchestration_id, updated_at);
