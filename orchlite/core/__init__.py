"""What every package uses: errors, statuses, records, settings, folders, files, the clock. Imports no other package."""
