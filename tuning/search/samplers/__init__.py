"""The samplers that this package has: TPE, and random search as the baseline (tuning.search.sampler)."""
