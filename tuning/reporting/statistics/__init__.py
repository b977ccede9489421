"""The numbers behind a report: intervals, noise, and trials compared at equal budgets."""
