"""Conditions on rows of `runs` that several queries have.

`FAILED` and `LATE` are those of the indexes `runs_ended_badly` and `runs_late`, word for word: otherwise SQLite does not use them.
"""

FAILED = "(runs.status = 'failure' OR runs.status = 'timed_out' OR runs.status = 'unknown')"
"""It is in `core.status.FAILED`."""
LATE = "runs.claimed_at > runs.slot_at + 60000000"
"""It started more than a minute after its slot."""
TRIED_AGAIN = "EXISTS (SELECT 1 FROM runs AS next WHERE next.retry_of = runs.run_id AND next.status <> 'killed')"
"""It failed, and another run is, or was, a further try."""
NOT_KEPT = "(runs.reason LIKE 'missed:%' OR runs.reason LIKE 'overlap:%')"
"""Of skipped slots: they were missed, or skipped because runs would overlap; not because their task was paused or the store was a copy."""
