"""Simulation of a search over recorded learning curves."""

from tuning.search.simulation.curves import Curve, of_records, read_curves
from tuning.search.simulation.simulate import Clock, RungReached, simulate
from tuning.search.simulation.table import ParameterTable, Table

__all__ = [
    "Clock",
    "Curve",
    "ParameterTable",
    "RungReached",
    "Table",
    "of_records",
    "read_curves",
    "simulate",
]
