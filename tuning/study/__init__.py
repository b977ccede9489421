"""What is kept of a search: the study's folder, its trials, their verdicts, curves and what it was begun with."""
