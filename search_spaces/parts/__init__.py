"""The parts of a recipe that detectors' spaces vary, one module each, and the parameter types they are written in."""
