"""Words that every package uses: errors, statuses, records, settings, folders, the clock. Imports no other package."""
