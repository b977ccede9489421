"""`python -m tuning.active` on Ray, killed by `kill -9`: the same command does what is left, and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from made_data import write

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def test_the_same_command_goes_on_after_kill_9(tmp_path):
    write(tmp_path / "d")
    words = [
        *(
            sys.executable,
            "-m",
            "tuning.active",
            "--data",
            "d",
            "--batch",
            "4",
            "--cycles",
            "2",
            "--seeds",
            "2",
        ),
        *("--max-steps", "2", "--workers", "1", "--trainer", "dice_trainer:DiceTrainer"),
    ]
    paths = os.pathsep.join(map(str, (ROOT, HERE, HERE.with_name("selection"))))

    def begin(pace: float) -> psutil.Popen:
        environment = os.environ | {"PYTHONPATH": paths, "DICE_PACE": str(pace), "PYTHONUNBUFFERED": "1"}
        return psutil.Popen(
            words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    killed, finished = begin(0.5), []
    for line in killed.stdout:
        if " labels (" in line:
            finished.append(line.partition(":")[0])
        if len(finished) == 3:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    folder = tmp_path / "studies" / "active-d"
    kept = {path: path.read_bytes() for path in folder.rglob("outcome.json")}
    assert len(kept) >= 3
    again = begin(0.0)
    said, wrong = again.communicate()
    assert again.returncode == 0, wrong
    assert "Traceback" not in wrong
    assert not [
        line for line in said.splitlines() if line.partition(":")[0] in finished
    ]  # none is done twice
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert len(list(folder.rglob("outcome.json"))) == 10
    assert "entropy is better than random" in said
    assert (folder / "report.html").is_file()

    # done: nothing is trained again, and another seed can be added
    assert "trainings to do" not in begin(0.0).communicate()[0]
    words += ["--batch", "3"]
    refused = begin(0.0)
    assert "was begun with another batch (4, not 3); give another --name" in refused.communicate()[1]
    assert refused.returncode == 2
    assert json.loads((folder / "simulation.json").read_text())["batch"] == 4
