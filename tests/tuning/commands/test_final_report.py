"""What a search prints at its end."""

from __future__ import annotations

import io
import shlex

from rich.console import Console
from searches import run_here, search_of

from tuning import postprocess, promote
from tuning.api import final_report


def report_of(study):
    said = Console(file=io.StringIO(), width=300, color_system=None)
    final_report.show(study, said, "http://mlflow:5000", ["python", "-m", "tuning.run"], 4)
    return dict(line.split(maxsplit=1) for line in said.file.getvalue().splitlines() if " " in line.strip())


def test_after_a_completed_trial_the_next_commands_are_those_that_tune_and_promote_the_winner(open_study):
    study = open_study()
    run_here(search_of(study, 4, seeds=1))
    found = report_of(study)
    assert found["postprocess"].endswith(f"-m tuning.postprocess {shlex.quote(str(study.folder))} --write")
    assert found["serve"].endswith(f"-m tuning.promote {shlex.quote(str(study.folder))}")
    for module, name in ((postprocess, "postprocess"), (promote, "serve")):
        words = shlex.split(found[name])
        given = module.parser().parse_args(words[words.index("-m") + 2 :])
        assert given.study == str(study.folder)


def test_before_a_trial_is_completed_no_command_for_a_winner_is_shown(open_study):
    study = open_study()
    run_here(search_of(study, 4, seeds=1), steps=1)
    assert "postprocess" not in report_of(study)
