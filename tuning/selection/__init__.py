"""Active learning: which images of an unlabelled pool to label next, and the labels' way back into the data set."""
