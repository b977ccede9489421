"""Keeps TensorFlow's lines about the CPU, which it writes while it is imported, from a user's terminal."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# on CPUs with instructions for neural networks; TensorFlow 2.21 writes them at any log level, since its log begins later
_LINES = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR$"
    rb"|I0000 .*port\.cc:\d+\] oneDNN custom operations are on\."
)


def hide() -> None:
    """Call it before TensorFlow is imported, by whomever; without effect afterwards.

    Errors of TensorFlow's C++ log are hidden too: those that matter reach Python as exceptions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds TensorFlow as the others do, and has it imported without the lines; others may look for it before."""

    def __init__(self) -> None:
        self._looking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow" or self._looking:
            return None
        self._looking = True
        try:
            found = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if found is not None and found.loader is not None:
            execute = found.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _without_lines():
                    execute(module)

            found.loader.exec_module = quietly  # type: ignore[method-assign]
        return found


@contextmanager
def _without_lines() -> Iterator[None]:
    """What the block writes to file descriptor 2 is written at its end, but for the lines."""
    try:
        stderr = os.dup(2)
    except OSError:  # closed
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if not _LINES.match(line):
                    os.write(2, line)
