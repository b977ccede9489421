"""MLflow: what is logged of a study and its trials, and the model registry."""
