"""What the readers of the formats consist of: indices, shapes of labels, class names, where images are."""
