"""Pictures of a trial, for its MLflow run: drawn from its files, in a separate process."""
