"""The report on a study: `report.py` assembles the sections (`parts/`); `page.py` and `as_*.py` render it."""
