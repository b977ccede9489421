"""The Object Detection API's detectors: one module each, which registers what is known without TensorFlow."""
