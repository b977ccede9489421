"""What a study has to say for itself: each file one part of it, `report.py` the whole, `page.py` and others its form."""
