"""Segmentation as it is served: a network's logits, the regions of each class, and how they are drawn and judged."""
