"""Statistics of a dataset, as numbers, as tables in the terminal and as an HTML page."""
