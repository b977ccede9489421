"""What happens to a detector's detections after the network, and how it is tuned on validation images."""
