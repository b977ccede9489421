"""Exports that are served: where to find them, how a study's best trial becomes one, which ones are loaded."""
