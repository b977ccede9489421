"""Images with masks: reading folders of them, checking them, and storing them as records for training."""
