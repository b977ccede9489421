"""Fetches datasets from S3."""
