"""Runs a search on Ray: the engine, its workers, and the adapters to Ray Tune."""
