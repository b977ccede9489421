"""Recipes that the user names: one to train, or the first trial of a search."""
