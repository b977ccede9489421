"""The task of object detection: metrics, per-image results, pictures and the export format."""
