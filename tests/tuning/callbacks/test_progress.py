from __future__ import annotations

import io

import pytest
from rich.console import Console
from searches import run_here, search_of

from tuning.callbacks.progress import Progress
from tuning.search.limits.budget import Budget, Spending
from tuning.search.limits.expectation import all_steps, expected
from tuning.study.step_result import StepResult
from tuning.study.trial_record import in_words


def screen(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def shown(progress: Progress) -> str:
    console = screen(False)
    console.print(progress.table())
    return console.file.getvalue()


def test_without_a_terminal_each_event_is_a_plain_line(open_study):
    study, console = open_study(), screen(False)
    progress = Progress(console)
    search = search_of(study, 2, (progress,), seeds=1)
    with progress.follow(search):
        run_here(search)
    lines = console.file.getvalue().splitlines()
    first = study.record(0)
    assert lines[0] == f"trial 0 starts: {in_words(first.recipe)} (laptop mobilenet)"
    assert in_words(first.recipe).startswith("mobilenet adam 0.00")
    assert (
        lines[1]
        == f"trial 0 step 10: mAP {first.rungs[0].value:.3f}, mAP50 {first.rungs[0].metrics['mAP50']:.3f}"
    )
    assert lines[4] == f"trial 0 completed: took all 90 steps; best mAP {first.value:.3f} (trial 0)"
    assert sum(line.startswith("trial 1 ") for line in lines) >= 2
    assert "\x1b" not in console.file.getvalue()


def test_the_time_left_is_that_of_the_steps_that_the_trials_are_expected_to_take(open_study):
    class Spent:
        """A meter that has measured so many steps in 100 s."""

        wall_seconds, gpu_hours = 100.0, 0.0

        def __init__(self, steps: int) -> None:
            self.steps = steps

    study = open_study()
    search = search_of(study, 9)
    of_all = all_steps(search.scheduler.rungs, expected(search.scheduler, 9)[0])
    for steps, line in [(0, None), (of_all // 2, "about 2 min left"), (of_all, None)]:
        progress = Progress(screen(False), Spending(Spent(steps), Budget(trials=9), 90)).follow(search)
        found = [part for part in progress.table().caption.split(" · ") if "left" in part]
        assert found == ([] if line is None else [line])


def test_the_table_shows_what_runs_how_fast_and_what_was_best(open_study):
    study = open_study()
    progress = Progress(screen(False))
    search = search_of(study, 3, (progress,), seeds=1)
    progress.follow(search)
    run_here(search, steps=3)
    number = 1  # is proposed, and has run nothing yet
    search.report(
        StepResult(number, 25, "progress", images_per_second=42.5, seconds_training=1, seconds_overhead=1)
    )
    text = shown(progress)
    best = study.record(0)
    assert f"street · 1 of 3 trials · best mAP {best.value:.3f} (trial 0)" in text
    running = next(line for line in text.splitlines() if "running" in line)
    assert f"{number} │ running" in running
    assert "25/90" in running
    assert "42.5" in running
    assert " so far" in text


def test_what_waits_for_its_promotion_is_shown_and_can_be_the_best(open_study):
    study, console = open_study(), screen(False)
    progress = Progress(console)
    search = search_of(study, 9, (progress,), mode="promote")
    progress.follow(search)
    run_here(search, steps=2)
    best = max(study.records(), key=lambda record: record.value or 0.0)
    text = shown(progress)
    assert f"street · 0 of 9 trials · best mAP {best.value:.3f} (trial {best.number})" in text
    assert text.count("waits") == 2
    assert console.file.getvalue().count("; waits for promotion\n") == 2


@pytest.mark.slow
def test_the_best_stays_on_the_table_however_many_come_after_it(open_study):
    study = open_study()
    run_here(search_of(study, 25, seeds=1))
    progress = Progress(screen(False))
    progress.follow(search_of(study, 25))
    text = shown(progress)
    best = max(study.records(), key=lambda record: (record.step, record.value))
    assert f" {best.number} │ completed" in text
    assert len(text.splitlines()) < 18


def test_a_lost_worker_is_said(open_study):
    console = screen(False)
    progress = Progress(console)
    search = search_of(open_study(), 1, (progress,))
    progress.follow(search)
    number = search.propose().number
    search.lost(number)
    assert f"trial {number}: its worker process died" in console.file.getvalue()


def test_on_a_terminal_the_table_lives_and_no_line_is_printed_beside_it(open_study):
    console = screen(True)
    progress = Progress(console)
    search = search_of(open_study(), 2, (progress,), seeds=1)
    with progress.follow(search):
        run_here(search)
    assert "starts" not in console.file.getvalue()
    assert "2 of 2 trials" in console.file.getvalue()
