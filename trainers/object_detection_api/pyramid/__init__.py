"""One-stage detectors that are put together from a backbone, a neck and a head, each of them a registered part."""
