"""Runs the notebooks of this folder, each in a kernel of its own: `make examples` keeps their outputs.

.venv/bin/python examples/run.py              # run them all; an error ends it
.venv/bin/python examples/run.py --save       # and write their outputs into the notebooks
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SECONDS = 1200  # of one cell, on a machine that has other things to do


def run(notebook: Path, work: Path, python: str | None = None, **arguments: str) -> nbformat.NotebookNode:
    """The notebook with its outputs.

    work: where its studies go. python: of the kernel; by default this one, with the checkout on its path.
    arguments: values for keyword arguments in the notebook, such as max_steps="6".
    Raises CellExecutionError, and ValueError for an argument that the notebook does not have.
    """
    node = nbformat.read(notebook, as_version=4)
    for name, value in arguments.items():
        _set_argument(node, name, value)
    variables = os.environ | {"EXAMPLE_STUDIES": str(work)}
    kernel = AsyncKernelManager()
    if python is None:
        paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        variables.pop("PYTHONPATH", None)
        kernel.kernel_spec.argv = [python, *kernel.kernel_spec.argv[1:]]
    client = NotebookClient(node, km=kernel, timeout=SECONDS, resources={"metadata": {"path": str(work)}})
    client.execute(env=variables, cleanup_kc=True)
    for cell in node.cells:  # they would change at each run
        cell.metadata.pop("execution", None)
    return node


def _set_argument(node: nbformat.NotebookNode, name: str, value: str) -> None:
    sources = [cell.source for cell in node.cells if cell.cell_type == "code"]
    pattern = rf"\b{re.escape(name)}=[^,\n)]+"
    if not any(re.search(pattern, source) for source in sources):
        raise ValueError(f"no cell of the notebook has an argument {name}")
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(pattern, f"{name}={value}", cell.source)


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
