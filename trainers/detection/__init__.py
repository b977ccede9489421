"""Object detection: its metrics, what an image's result is, and the export format."""
