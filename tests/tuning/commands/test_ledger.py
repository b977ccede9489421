from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from searches import OBJECTIVE, run_here, score, search_of
from test_search import rung

from tuning.api.auditing import Audit
from tuning.callbacks.retention import Retention
from tuning.ledger import main
from tuning.reporting.ledger import ledger, lines
from tuning.study import reading
from tuning.study.spent import Spent
from tuning.study.trial_record import CONTINUES, Rung, TrialRecord
from tuning.study.verdict import completed, continued


@pytest.fixture
def stopped(open_study):
    """A study of ten trials, some of them stopped."""
    study = open_study()
    run_here(search_of(study, 10))
    return study


def test_the_ledger_has_every_stopped_trial_with_its_cutoff_and_what_it_saved(stopped):
    found = ledger(stopped.records(), 90, {}, stopped.objective)
    pruned = [record for record in stopped.records() if record.state == "pruned"]
    assert [entry.trial for entry in found.entries] == [record.number for record in pruned]
    for entry, record in zip(found.entries, pruned, strict=True):
        assert entry.cutoff == record.verdict.cutoff > entry.value
        assert entry.saved_steps == 90 - entry.step
        assert entry.saved_seconds == pytest.approx(entry.saved_steps * 0.1)
    assert found.saved_steps + found.spent_steps == 10 * 90
    assert lines(found)[-1].startswith(f"{len(pruned)} stopped trials saved {found.saved_steps:,} steps (")


def test_a_trial_that_goes_on_as_a_longer_one_was_not_stopped():
    """It was interrupted, and its study then asked for more steps."""
    at_30 = Rung(30, 0.4, 3.0, 3.0, 0, {"mAP": 0.4}, "pause", "", 1, 1, None, score(0.4))
    at_180 = Rung(180, 0.5, 18.0, 18.0, 0, {"mAP": 0.5}, "continue", "", 1, 1, None, score(0.5))
    shorter = TrialRecord(0, "pruned", continued(30, 1, 180), "", {"steps": 90}, (at_30,), {}, Spent(30, 3.0))
    provenance = {CONTINUES: "0"}
    longer = TrialRecord(
        1, "completed", completed(180), "", {"steps": 180}, (at_30, at_180), provenance, Spent(150, 15.0)
    )
    found = ledger([shorter, longer], 180, {}, OBJECTIVE)
    assert found.entries == ()
    assert (found.spent_steps, found.saved_steps, found.best) == (180, 0, 0.5)


def test_an_audit_says_how_often_and_by_how_much_a_stopped_trial_would_have_won(stopped):
    best = max(record.value for record in stopped.records() if record.state == "completed")
    first, second, *_ = [record.number for record in stopped.records() if record.state == "pruned"]
    audits = {str(first): {"mAP": best + 0.02}, str(second): {"mAP": best - 0.1}}
    found = ledger(stopped.records(), 90, audits, stopped.objective)
    assert found.regrets == [pytest.approx(0.02), 0.0]
    assert (
        "audit: 1 of 2 sampled trials would have won, by at most 0.020 mAP (0.0100 on average)"
        in lines(found)[-1]
    )


def test_the_command_prints_it_while_the_studys_own_driver_is_at_work(stopped, capsys):
    assert main([str(stopped.folder)]) == 0
    said = capsys.readouterr().out
    assert "stopped at step 10, ranked" in said
    assert main([str(stopped.folder), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["saved_steps"] == sum(entry["saved_steps"] for entry in found["entries"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such study in"),
        ([], "the following arguments are required: study"),
        (["street", "--audit", "0"], "--audit must be at least 1, not 0"),
    ],
)
def test_what_is_wrong_is_one_line(stopped, tmp_path, capsys, arguments, message):
    try:
        code = main([*arguments, "--studies-dir", str(tmp_path)])
    except SystemExit as exit_:
        code = exit_.code
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_an_audit_says_from_which_checkpoint_a_trial_goes_on_or_that_it_is_gone(stopped):
    said = io.StringIO()
    records = [record for record in stopped.records() if record.state == "pruned"][:3]
    for record, step in zip(records, (record.step for record in records), strict=True):
        (stopped.trial_folder(record.number) / f"checkpoint-{step}").mkdir()
    (stopped.trial_folder(records[1].number) / "checkpoint-70").mkdir()  # of an audit that was stopped
    (stopped.trial_folder(records[2].number) / f"checkpoint-{records[2].step}").rmdir()  # by retention
    audit = Audit(stopped, records, Console(file=said, width=200))
    for _ in records:
        audit.propose()
    first, second, third = (record.number for record in records)
    assert said.getvalue().splitlines() == [
        f"trial {first} resumes from step {records[0].step}, where it was stopped",
        f"trial {second} resumes from step 70; it was stopped at step {records[1].step}",
        f"trial {third} is trained again from step 0: its checkpoint is gone",
    ]


def test_a_study_is_read_without_its_lock_and_unchanged(stopped, tmp_path):
    before = (stopped.folder / "optuna.journal").read_bytes()
    found = reading.read("street", tmp_path)
    assert found.records == stopped.records()
    assert (stopped.folder / "optuna.journal").read_bytes() == before


def test_the_best_and_what_may_go_on_keep_their_checkpoints_and_what_they_found(open_study):
    study = open_study()
    retention = Retention(study, 2, shown=3)
    search = search_of(study, 6, (retention,))

    for _ in range(6):
        record = search.propose()
        (study.trial_folder(record.number) / "checkpoint-10").mkdir()
        (study.trial_folder(record.number) / "detections-10.npz").touch()
    for record, mean in zip(study.records()[:5], (0.1, 0.4, 0.2, 0.3, 0.05), strict=True):
        for step in (10, 30, 90):
            if not search.report(rung(record.number, step, mean)):
                break
    kept = {n for n in range(6) if (study.trial_folder(n) / "checkpoint-10").exists()}
    ended = sorted((r for r in study.records() if r.verdict), key=lambda r: (r.step, r.value), reverse=True)
    assert kept == {5, *(record.number for record in ended[:2])}
    shown = {n for n in range(6) if (study.trial_folder(n) / "detections-10.npz").exists()}
    assert shown == {5, *(record.number for record in ended[:3])}
