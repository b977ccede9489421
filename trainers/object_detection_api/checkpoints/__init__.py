"""Writing, reading and verifying checkpoints and initial weights."""
