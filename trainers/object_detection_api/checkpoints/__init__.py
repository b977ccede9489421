"""A trial's checkpoints and initial weights: written, read and verified."""
