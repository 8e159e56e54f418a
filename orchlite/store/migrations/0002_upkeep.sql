-- Events say what kind of thing they are about, and a run says that its program waits for another run.

ALTER TABLE events ADD COLUMN kind TEXT NOT NULL DEFAULT 'run';   -- orchestration, task, run, store
UPDATE events SET kind = 'orchestration' WHERE object_id IN (SELECT orchestration_id FROM orchestrations);
UPDATE events SET kind = 'task' WHERE object_id IN (SELECT task_id FROM tasks);

ALTER TABLE runs ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;     -- 1: it waits for another run, and lends its worker's place
