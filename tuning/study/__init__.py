"""The stored state of a search: its study folder, manifest, journal, trials, verdicts and curves."""
