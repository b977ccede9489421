"""Splits into training and validation images, and subsets of the training images."""
