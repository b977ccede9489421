"""TensorFlow's lines about the CPU are hidden on any CPU: here a stand-in for TensorFlow writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ABOUT_THE_CPU = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795721607.711371   18414 port.cc:153] oneDNN custom operations are on.
"""


@pytest.fixture
def imported(tmp_path):
    """Runs code with a TensorFlow that writes a text, through file descriptor 2, while it is imported."""

    def run(text: str, code: str, at_its_end: str = "") -> subprocess.CompletedProcess[str]:
        package = tmp_path / "tensorflow"
        package.mkdir()
        writing = f"import os\nos.write(2, {text.encode()!r})" if text else ""
        source = f"{writing}\n{at_its_end}\n"
        (package / "__init__.py").write_text(source)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        hidden = f"from trainers.keras_training import start_up_lines\nstart_up_lines.hide()\n{code}"
        line = [sys.executable, "-c", hidden]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)

    return run


def test_they_are_hidden_and_other_lines_are_not(imported):
    done = imported(
        f"before\n{ABOUT_THE_CPU}after\n", "import tensorflow, sys; print('later', file=sys.stderr)"
    )
    assert done.stderr == "before\nafter\nlater\n"


def test_they_are_hidden_too_where_another_has_looked_for_it_before(imported):
    """MLflow does, to know what is installed."""
    done = imported(
        f"{ABOUT_THE_CPU}after\n",
        "import importlib.util; importlib.util.find_spec('tensorflow'); import tensorflow",
    )
    assert done.stderr == "after\n"


def test_a_tensorflow_that_cannot_be_imported_says_why(imported):
    done = imported(f"{ABOUT_THE_CPU}no AVX\n", "import tensorflow", "raise ImportError('broken')")
    assert done.returncode == 1
    assert done.stderr.startswith("no AVX\nTraceback")
    assert done.stderr.endswith("ImportError: broken\n")


def test_a_process_whose_error_stream_is_closed_imports_it(imported):
    done = imported("", "import os; os.close(2); import tensorflow; print('imported')", "pass")
    assert done.stdout == "imported\n", done.stderr


def test_a_tensorflow_that_is_not_there_is_not_found(tmp_path):
    code = (
        "import sys\nsys.path = [path for path in sys.path if 'site-packages' not in path]\n"
        "from trainers.keras_training import start_up_lines\nstart_up_lines.hide()\n"
        "try:\n    import tensorflow\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "No module named 'tensorflow'\n", done.stderr
