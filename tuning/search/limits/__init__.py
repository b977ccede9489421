"""The limits of a search: its budget, what its trials have cost, and what the rest of the budget is kept for."""
