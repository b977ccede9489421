"""Simulates active learning on labelled data: how many labels a strategy saves over a control, such as random choice."""
