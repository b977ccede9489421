"""Callbacks of a search: progress, summary.json, checkpoint retention, pictures."""
