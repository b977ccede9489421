"""Pictures of a trial, for its MLflow run and for people: drawn from its files, by a process of their own."""
