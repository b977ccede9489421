"""The spaces of segmentation models, and what they have in common."""
