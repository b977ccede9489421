"""Machines of a cluster that are lost, about to go, or unfit for a trial."""
