"""Runs the notebooks of this folder, each in a kernel of its own: `make examples` keeps their outputs.

.venv/bin/python examples/run.py              # run them all; an error ends it
.venv/bin/python examples/run.py --save       # and write their outputs into the notebooks
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SECONDS = 1200  # of one cell, on a machine that has other things to do


def run(notebook: Path, work: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs. work: where its studies go. Raises CellExecutionError."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"EXAMPLE_STUDIES": str(work), "PYTHONPATH": os.pathsep.join(paths)}
    node = nbformat.read(notebook, as_version=4)
    client = NotebookClient(node, timeout=SECONDS, resources={"metadata": {"path": str(work)}})
    client.execute()
    for cell in node.cells:  # they would change at each run
        cell.metadata.pop("execution", None)
    return node


def main() -> None:
    """Run the notebooks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write the outputs into the notebooks")
    save = parser.parse_args().save
    for notebook in sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory(prefix="example-") as work:
            node = run(notebook, Path(work))
        if save:
            nbformat.write(node, notebook)
        print(notebook.name)


if __name__ == "__main__":
    main()
