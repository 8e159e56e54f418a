-- Where the store lies, so that a copy of its folder is told from the store itself.

CREATE TABLE identity (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    path      TEXT NOT NULL,                        -- of the store's folder, when it was last opened
    device    TEXT NOT NULL,                        -- of the database's file: a decimal number, which may exceed 63 bits
    inode     TEXT NOT NULL,
    boot_id   TEXT NOT NULL,                        -- devices may be renumbered when the machine boots
    is_copy   INTEGER NOT NULL DEFAULT 0            -- 1: schedules wait until the copy is adopted
) STRICT;
