"""Metrics of a deployment: counters and histograms that all its processes share, and their Prometheus format."""
