"""What to try and which trials go on: the search, its sampler and its scheduler. Knows neither Ray nor MLflow."""
