"""From a video file to the same video with boxes, and a line of detections for each frame."""
