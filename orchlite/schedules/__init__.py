"""Cron text, time zones, slots, misfires and back-off. Pure: no clock, no I/O."""
