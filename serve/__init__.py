"""The winner behind HTTP: an export, a video pipeline, durable jobs, and their application on Ray Serve."""
