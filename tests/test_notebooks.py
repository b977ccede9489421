"""The notebooks of examples/ are kept with their outputs. (The tests of the wheel run them.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_with_its_outputs_and_without_this_machine(notebook):
    text = notebook.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    assert any(cell.get("outputs") for cell in cells)
    assert not any(output["output_type"] == "error" for cell in cells for output in cell.get("outputs", ()))
    for path in ("/work", "/root", "/home/"):
        assert path not in text
