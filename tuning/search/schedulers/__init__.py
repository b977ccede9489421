"""The schedulers that this package has: successive halving, and full training (tuning.search.scheduler)."""
