"""What may vary: one module for each `--space`."""
