"""The row that records the location of the store's database file."""

from __future__ import annotations

from orchlite.core.records import IdentityRow
from orchlite.store.database import Database, Transaction


class Identity:
    """Reads and writes the only row of the table `identity`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self) -> IdentityRow | None:
        """Return the row; None in a store that was never opened by an orchlite that records it, and in a backup."""
        row = self._database.row("SELECT path, device, inode, boot_id, is_copy FROM identity")
        return None if row is None else IdentityRow(row["path"], row["device"], row["inode"], row["boot_id"], bool(row["is_copy"]))

    def record(self, transaction: Transaction, identity: IdentityRow) -> None:
        """Replace the row."""
        transaction.execute(
            "INSERT OR REPLACE INTO identity (only_row, path, device, inode, boot_id, is_copy) VALUES (1, ?, ?, ?, ?, ?)",
            (identity.path, identity.device, identity.inode, identity.boot_id, identity.is_copy),
        )

    def forget(self, transaction: Transaction) -> None:
        """Delete the row: the store will lie elsewhere, and that is no copy."""
        transaction.execute("DELETE FROM identity")
