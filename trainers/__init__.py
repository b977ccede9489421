"""One trial: a Recipe in; metrics, a checkpoint and an export out."""
