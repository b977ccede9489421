"""Spaces of families of detectors, whose parts are choices."""
