"""Encoded pictures: whether they are whole, and what they show."""
