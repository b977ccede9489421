"""Video pipeline: decode, detect, track, draw, encode; in segments that survive a kill, joined into the results."""
