"""Many trials: the study, its searcher, its scheduler, its tracking."""
