"""Callbacks of a search: progress, summary.json, checkpoint retention, budget spending, pictures."""
