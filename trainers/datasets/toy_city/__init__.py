"""The toy city: generated street scenes with vehicles, pedestrians and cyclists, deterministic by seed."""
