"""Batch normalisation: its statistics for evaluation, and over several devices."""
