-- What was installed when a run ran: one row for all runs that saw the same.

CREATE TABLE package_lists (
    package_list_id INTEGER PRIMARY KEY,
    sha             TEXT NOT NULL UNIQUE,       -- SHA-256 of packages
    packages        TEXT NOT NULL               -- JSON object: python, installed, host
) STRICT;

ALTER TABLE runs ADD COLUMN package_list_id INTEGER REFERENCES package_lists (package_list_id); -- NULL: not known
CREATE INDEX runs_of_package_list ON runs (package_list_id) WHERE package_list_id IS NOT NULL;
