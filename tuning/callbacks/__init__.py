"""What else hears of a search's events: progress, summary, retention, spending, pictures."""
