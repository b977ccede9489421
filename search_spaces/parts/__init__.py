"""Parts of a recipe that a space suggests: optimizer, schedule, augmentations."""
