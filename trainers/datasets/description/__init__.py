"""What a dataset holds, as numbers, tables and a page."""
