from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tuning.api import settings
from tuning.run import main

ROOT = Path(__file__).parents[3]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command says."""
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --space"),
        (
            ["--space", "retinannet"],
            "unknown space 'retinannet'; did you mean retinanet or retinanet_family?",
        ),
        (["--space", "mobilenet", "--and", "AR100"], "--and AR100: a further objective is latency_ms"),
        (["--space", "mobilenet", "--limit", "mAP<=3"], "nobody measures 'mAP' before training"),
        (["--space", "mobilenet", "--trials", "0"], "--trials must be at least 1, not 0"),
        (["--space", "mobilenet", "--trials", "many"], "--trials: invalid int value: 'many'"),
        (["--space", "mobilenet", "--max-steps", "0"], "--max-steps must be at least 1"),
        (["--space", "mobilenet", "--workers", "0"], "--workers must be at least 1"),
        (["--space", "mobilenet", "--workers", "few"], "--workers: 'few' is neither a number nor max"),
        (["--space", "mobilenet", "--workers", "max"], "--workers max follows the machines of --address"),
        (["--space", "mobilenet", "--autoscale"], "--autoscale needs --address"),
        (["--space", "mobilenet", "--seed", "-1"], "--seed must be at least 0"),
        (["--space", "mobilenet", "--seed", "2147483648"], "--seed must be below 2147483648"),
        (["--space", "mobilenet", "--cpus-per-trial", "0"], "--cpus-per-trial must be above 0"),
        (["--space", "mobilenet", "--gpus-per-trial", "-1"], "--gpus-per-trial must be at least 0"),
        (
            ["--space", "mobilenet", "--gpus-per-trial", "1.5"],
            "--gpus-per-trial 1.5: give a whole number of GPUs",
        ),
        (
            ["--space", "faster_rcnn", "--gpus-per-trial", "2"],
            "faster_rcnn_50 trains on one GPU; more GPUs train",
        ),
        (["--space", "mobilenet", "--study", "../other"], "--study '../other' is not a valid name"),
        (["--space", "mobilenet", "--study", "data"], "--study 'data' is not a valid name"),
        (["--space", "mobilenet", "--reduction-factor", "1"], "--reduction-factor must be at least 2"),
        (["--space", "mobilenet", "--sampler", "dice"], "unknown sampler 'dice'; known are tpe, random"),
        (["--space", "mobilenet", "--scheduler", "hope"], "known are promote, stop, full"),
        (["--space", "mobilenet", "--objective", "fog"], "--objective fog: unknown metric 'fog'"),
        (["--space", "mobilenet", "--brackets", "9"], "--brackets must be 1 to 3"),
        (["--space", "mobilenet", "--time", "soon"], "--time: 'soon' is not a duration; give one like 45m"),
        (["--space", "mobilenet", "--like", "0.01"], "--like 0.01 is less than one rung"),
        (["--space", "mobilenet", "--cost", "9"], "--cost needs --price-per-gpu-hour"),
        (
            ["--space", "mobilenet", "--gpu-hours", "4", "--gpus-per-trial", "0"],
            "--gpu-hours limits GPU hours",
        ),
        (["--space", "mobilenet", "--preset", "cloud"], "invalid choice: 'cloud'"),
        (["--space", "mobilenet", "--image-size", "100"], "mobilenet needs an image size of at least"),
        (["--space", "mobilenet", "--batch-size", "4096"], "batch_size"),
        (["--space", "mobilenet", "--data", "no/such/photos"], "no/such/photos"),
        (["--space", "mobilenet", "--data", "toy-city:fog=1"], "settings are classes"),
        (["--space", "mobilenet", "--format", "jpeg"], "unknown format 'jpeg'; choose from dataset_yaml"),
        (["--space", "mobilenet", "--group-by", "("], "--group-by '(': not a regular expression"),
        (["--space", "mobilenet", "--subset", "0%"], "--subset: subset '0%': expected a share"),
        (["--space", "mobilenet", "--weights", "no/such/weights"], "no/such/weights"),
        (["--space", "mobilenet", "--warm-start", "nowhere"], "--warm-start nowhere: no such study"),
        (["--space", "mobilenet", "--warm-start", "mlflow:nowhere"], "there is no MLflow database"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_what_is_wrong_is_one_line_and_nothing_is_written(arguments, message, dry, tmp_path, capsys):
    if dry and "--weights" in arguments:
        pytest.skip("a dry run does not look at weights")
    more = ["--dry-run"] if dry else []
    assert message in refused([*arguments, "--studies-dir", str(tmp_path / "studies"), *more], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_images_leaves_no_studies_behind(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    words = [
        "--space",
        "mobilenet",
        "--data",
        str(tmp_path / "photos"),
        "--studies-dir",
        str(tmp_path / "studies"),
    ]
    assert "the folder is empty" in refused(words, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    studies = tmp_path / "studies"
    assert main(["--space", "all", "--trials", "9", "--studies-dir", str(studies), "--dry-run"]) == 0
    said = capsys.readouterr().out
    for words in (
        "space    all: ",
        f"trials   9, {settings.Settings('all', trials=9).at_once} at once",
        "rungs    ",
        "(9 trials)",
        "steps    ",
        "disk     ",
        "time ",
        "choice   tpe, promote",
    ):
        assert words in said
    assert not studies.exists()
    assert "data     " not in said


def test_a_dry_run_on_ones_own_images_says_that_these_will_change_the_plan(tmp_path, capsys):
    words = ["--space", "mobilenet", "--data", str(tmp_path), "--dry-run"]
    for given, warned in (([], True), (["--image-size", "160", "--max-steps", "90"], False)):
        assert main([*words, *given]) == 0
        said = capsys.readouterr().out
        assert ("the search chooses image size and steps by them" in said) is warned


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert main(["--space", "nowhere", "--debug", "--studies-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "\nerror: unknown space 'nowhere'; known are retinanet, mobilenet, efficientdet, all" in said


def test_help_says_every_flag_with_examples_and_imports_no_engine():
    code = (
        "import sys, tuning.run\n"
        "text = tuning.run.parser().format_help()\n"
        "print(text)\n"
        "print([name for name in ('ray', 'optuna', 'mlflow', 'tensorflow') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for flag in (
        "--space", "--data", "--trials", "--study", "--studies-dir", "--preset", "--max-steps", "--image-size",
        "--batch-size", "--weights", "--workers", "--cpus-per-trial", "--gpus-per-trial", "--seed", "--tracking-uri",
        "--address", "--dry-run", "--debug", "examples:",
        "--time", "--gpu-hours", "--cost", "--price-per-gpu-hour", "--like", "--scheduler", "--reduction-factor",
        "--brackets", "--subset", "--objective", "--sampler",
    ):  # fmt: skip
        assert flag in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "gigabytes", "expected"),
    [
        ({}, 1, 0, 64, (1, 1, 0)),
        ({}, 2, 0, 64, (2, 1, 0)),
        ({}, 16, 0, 64, (4, 4, 0)),
        ({}, 16, 0, 8, (2, 8, 0)),
        ({}, 8, 0, 2, (1, 8, 0)),
        ({"trials": 1}, 8, 0, 64, (1, 8, 0)),
        ({"cpus_per_trial": 4}, 8, 0, 64, (2, 4, 0)),
        ({"workers": 8}, 16, 0, 8, (8, 2, 0)),
        ({}, 16, 1, 64, (1, 16, 1)),
        ({}, 16, 4, 8, (4, 4, 1)),
        ({"gpus_per_trial": 0.5}, 16, 1, 64, (2, 8, 0.5)),
        ({"workers": 6}, 16, 4, 64, (6, 2, 0.5)),
        ({"gpus_per_trial": 0.4, "trials": 32}, 16, 4, 64, (8, 2, 0.4)),
        ({"workers": 2}, 16, 4, 64, (2, 8, 1)),
        ({"gpus_per_trial": 2}, 16, 4, 64, (2, 8, 2)),
        ({"gpus_per_trial": 3}, 16, 8, 64, (2, 8, 3)),
        ({"gpus_per_trial": 0}, 16, 1, 64, (4, 4, 0)),
        ({"space": "retinanet"}, 2, 0, 64, (1, 2, 0)),
        ({"space": "retinanet"}, 8, 0, 64, (4, 2, 0)),
        ({"space": "all"}, 2, 0, 64, (2, 1, 0)),
        ({"preset": "zoo"}, 16, 0, 64, (1, 16, 0)),
        ({"preset": "zoo"}, 16, 2, 64, (2, 8, 1)),
        ({"address": "auto"}, 16, 0, 64, (1, 16, 0)),
    ],
)
def test_as_many_trials_train_at_once_as_the_machine_has_room_for(
    asked, cpus, gpus, gigabytes, expected, monkeypatch
):
    monkeypatch.setattr(settings, "cpus_here", lambda: cpus)
    monkeypatch.setattr(settings, "gpus_here", lambda: gpus)
    monkeypatch.setattr(settings, "memory_here", lambda: gigabytes * 2**30)
    chosen = settings.Settings(**({"space": "mobilenet"} | asked))
    assert (chosen.at_once, chosen.cpus, chosen.gpus) == expected


@pytest.mark.slow
def test_the_driver_never_imports_tensorflow():
    code = (
        "import sys, tuning.api.searching, tuning.execution.trainable\n"
        "import tuning.execution.ray_searcher, tuning.execution.ray_scheduler\n"
        "print('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
