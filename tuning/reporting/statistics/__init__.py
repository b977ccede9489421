"""The statistics behind a report: bootstrap intervals, significance, and comparisons of trials at equal budgets."""
