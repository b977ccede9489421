"""All code that uses the TensorFlow Object Detection API; no other folder imports `object_detection`."""
