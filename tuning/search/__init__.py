"""The search, its samplers (what to try) and schedulers (which trials go on). Independent of Ray and MLflow."""
