-- Connections to sources and destinations of data, and the workspaces that list them.

CREATE TABLE connections (
    connection_id TEXT PRIMARY KEY NOT NULL,      -- a lower-case UUID
    name          TEXT NOT NULL UNIQUE,
    type          TEXT NOT NULL,
    details       TEXT NOT NULL,                  -- JSON object, secret: shown to nobody who does not ask for it
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE workspace_connections (
    workspace_id  INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections ON DELETE CASCADE,
    PRIMARY KEY (workspace_id, connection_id)
) WITHOUT ROWID, STRICT;
CREATE INDEX workspaces_of_connection ON workspace_connections (connection_id);
