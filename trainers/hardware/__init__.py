"""What this machine has for training and serving."""
