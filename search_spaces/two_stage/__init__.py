"""Spaces of two-stage detectors."""
