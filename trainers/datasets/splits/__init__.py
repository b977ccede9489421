"""Which image is in which part: splits, subsets, duplicates kept together."""
