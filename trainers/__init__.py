"""Training one trial: a Recipe goes in; metrics, a checkpoint and an export come out."""
