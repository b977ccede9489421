"""Hyperparameter search: search for the best recipe of a model, train one recipe, open a finished or running study.

    import tuning

    result = tuning.search("NAME", data="photos/", trials=12)     # what `python -m tuning.run --space NAME` does
    result.best.value, result.to_dataframe(), result.report(), result.promote()
    tuning.load_study("studies/street")                           # the StudyResult of an earlier search
    tuning.train("recipe.yaml", data="photos/")                   # one recipe to its last step

Every error that the caller can cause is a UserError, whose message is the line that the commands print.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trainers.errors import UserError

if TYPE_CHECKING:
    from tuning.api.functions import load_study as load_study
    from tuning.api.functions import search as search
    from tuning.api.functions import train as train
    from tuning.api.study_result import StudyResult as StudyResult
    from tuning.search.callback import Callback as Callback

__all__ = ["Callback", "StudyResult", "UserError", "load_study", "search", "train"]

_PLACES = {
    "search": "tuning.api.functions",
    "train": "tuning.api.functions",
    "load_study": "tuning.api.functions",
    "StudyResult": "tuning.api.study_result",
    "Callback": "tuning.search.callback",
}


class _Package(ModuleType):
    """Imports the API's names on first access, so that `import tuning` is fast.

    `search` is also a subpackage, and `train` a command module. Python sets an attribute of the package for each
    submodule that it imports; __setattr__ keeps these from replacing the functions.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        import importlib

        found = getattr(importlib.import_module(_PLACES[name]), name)
        super().__setattr__(name, found)
        return found


sys.modules[__name__].__class__ = _Package
