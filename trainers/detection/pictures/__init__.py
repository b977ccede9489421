"""Pictures of what a detector found in the validation images."""
