"""Sections that say which trials are the best: the ranking, its confirmation, and the front of several objectives."""
