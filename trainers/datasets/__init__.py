"""Labelled images for training: load, check, describe and convert them.

    from trainers.datasets import check, convert, describe, load

    report = check("photos/")            # every problem, before training
    dataset = load("photos/", subset=0.1)
    print(describe(dataset).warnings())
    convert("photos/", "coco", "photos-coco/")

Sources may be in any format of `trainers.datasets.formats`, on disk or on S3. The names below are imported on
first use, so that importing this package costs nothing. Nothing in it imports TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.datasets.checking import CheckReport as CheckReport
    from trainers.datasets.checking import check as check
    from trainers.datasets.conversion import Conversion as Conversion
    from trainers.datasets.conversion import convert as convert
    from trainers.datasets.dataset import Dataset as Dataset
    from trainers.datasets.description.describing import describe as describe
    from trainers.datasets.description.description import Description as Description
    from trainers.datasets.opening import load as load

_MODULES = {
    "CheckReport": "checking",
    "Conversion": "conversion",
    "Dataset": "dataset",
    "Description": "description.description",
    "check": "checking",
    "convert": "conversion",
    "describe": "description.describing",
    "load": "opening",
}
__all__ = ["CheckReport", "Conversion", "Dataset", "Description", "check", "convert", "describe", "load"]

if not TYPE_CHECKING:  # a type checker would take it for any name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
