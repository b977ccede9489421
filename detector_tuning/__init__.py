"""The console script `detector-tuning`: one name for the commands of the four packages.

It has a package of its own, above the four, because it names commands of all of them and an import goes only downwards.
"""

__version__ = "0.2.0"
