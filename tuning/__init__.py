"""Many trials: search for the best recipe of a model, train one recipe, open what a search has left.

    import tuning

    result = tuning.search("NAME", data="photos/", trials=12)     # what `python -m tuning.run --space NAME` does
    result.best.value, result.to_dataframe(), result.report(), result.promote()
    tuning.load_study("studies/street")                           # the same, of a search that was run before
    tuning.train("recipe.yaml", data="photos/")                   # one recipe to its last step

Errors that a caller can cause are UserError, with the one line that the commands print.
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
    """Gives the API's names on demand, so that `import tuning` stays light.

    `search` and `train` are also a room and a command. Importing those must not take the functions' place: Python sets
    a package's attribute to each submodule that it imports.
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
