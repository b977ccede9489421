from __future__ import annotations

import errno
import json
from concurrent.futures import Future

import curve_trainer
import pytest
from curve_trainer import DATASET, CurveTrainer
from searches import CONDITIONS, SPACE

from trainers.errors import TrialFailed
from tuning.execution.worker import Assignment, Trainers, Worker, make_trainer
from tuning.study.spent import WorkersCost
from tuning.study.trial_folder import RECIPE as RECIPE_FILE
from tuning.study.trial_folder import newest_checkpoint

RUNGS = (10, 30, 90)
RECIPE = SPACE.replay(SPACE.seeds(CONDITIONS)[0].params, CONDITIONS).recipe.to_dict()


def worker_of(trainer: CurveTrainer, **options) -> Worker:
    return Worker(lambda model, fold: trainer, "detection", **options)


def worker_with(**trouble) -> Worker:
    return worker_of(CurveTrainer(DATASET, **trouble))


def begun(worker: Worker, trials, **fields) -> Worker:
    number = fields.pop("number", 3)
    (trials / str(number)).mkdir(exist_ok=True)
    (trials / str(number) / RECIPE_FILE).touch()  # the driver writes it
    worker.begin(Assignment(number, RECIPE, trials / str(number), RUNGS, **fields))
    return worker


def run_to_end(worker: Worker) -> list:
    results = [worker.step()]
    while results[-1].step < RUNGS[-1] and results[-1].kind in ("progress", "rung"):
        results.append(worker.step())
    return results


def test_a_trial_is_saved_and_evaluated_at_every_rung_and_keeps_its_newest_checkpoint(tmp_path):
    results = run_to_end(begun(worker_with(), tmp_path))
    assert [result.step for result in results if result.kind == "rung"] == [10, 30, 90]
    assert [step for result in results for step in result.steps] == list(range(1, 91))
    left = sorted(entry.name for entry in (tmp_path / "3").iterdir())
    files = ["checkpoint-90", "cost.json", "files.json", "hardware.json", "pipeline.config", "recipe.yaml"]
    assert left == files
    assert all(
        result.metrics["mAP50"] > 0 for result in results if result.kind == "rung" and result.step > 10
    )


def test_the_worker_counts_what_all_workers_of_the_trial_have_done(tmp_path):
    results = run_to_end(begun(worker_with(), tmp_path))
    last = results[-1]
    assert WorkersCost.read(tmp_path / "3") == WorkersCost(90, last.seconds_training, last.seconds_overhead)
    begun(worker_with(), tmp_path, reported=90, seconds_training=5.0).step()
    again = WorkersCost.read(tmp_path / "3")
    assert (again.steps, again.training) == (90, 5.0)


def test_seconds_add_up_to_the_workers_time(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("tuning.execution.worker.time.monotonic", lambda: clock[0])

    class Slow(CurveTrainer):
        def train(self, until_step):
            clock[0] += 2.0  # of which the formula says .0001 s a step was computing
            return super().train(until_step)

        def evaluate(self, images=None):
            clock[0] += 5.0
            return super().evaluate(images)

    worker = worker_of(Slow(DATASET))
    last = run_to_end(begun(worker, tmp_path))[-1]
    assert last.seconds_training == pytest.approx(90 * 1e-4)
    assert last.seconds_training + last.seconds_overhead == pytest.approx(clock[0] - 100.0)

    clock[0] += 1.5  # until the next trial comes
    began = clock[0]
    last = run_to_end(begun(worker, tmp_path, number=4))[-1]
    assert last.seconds_training + last.seconds_overhead == pytest.approx(clock[0] - began + 1.5)


def test_rungs_before_the_last_are_measured_on_a_part_of_the_images(tmp_path):
    asked = []

    class Asked(CurveTrainer):
        def evaluate(self, images=None):
            asked.append((self.step, images))
            return super().evaluate(images)

    run_to_end(begun(worker_of(Asked(DATASET), early_images=5), tmp_path))
    assert asked == [(10, 5), (30, 5), (90, None)]


def test_a_trial_goes_on_from_its_checkpoint_with_what_it_had_cost(tmp_path):
    worker = begun(worker_with(), tmp_path)
    while worker.step().step < 30:
        pass
    again = begun(worker_with(), tmp_path, reported=30, seconds_training=7.0, seconds_overhead=8.0)
    results = run_to_end(again)
    assert results[0].steps[0] == 31
    assert [result.step for result in results if result.kind == "rung"] == [90]
    assert results[0].seconds_training > 7.0
    assert results[0].seconds_overhead > 8.0


def test_a_rung_that_was_saved_but_never_told_is_evaluated_first(tmp_path):
    worker = begun(worker_with(), tmp_path)
    while worker.step().step < 30:
        pass
    first = begun(worker_with(), tmp_path, reported=10).step()
    assert (first.kind, first.step, list(first.steps)) == ("rung", 30, [])


def test_a_lost_checkpoint_costs_its_steps_and_no_rung_is_told_twice(tmp_path):
    results = run_to_end(begun(worker_with(), tmp_path, reported=30))
    assert results[0].note == "its checkpoint of step 30 is gone; it trains again from step 0"
    assert not any(result.note for result in results[1:])
    assert results[0].steps[0] == 1
    assert [result.step for result in results if result.kind == "rung"] == [90]


def test_keeping_a_trial_saves_it_between_rungs(tmp_path):
    worker = begun(worker_with(), tmp_path)
    worker.keep()
    assert newest_checkpoint(tmp_path / "3") is None
    assert worker.step().step == 1
    worker.keep()
    assert newest_checkpoint(tmp_path / "3")[0] == 1
    assert begun(worker_with(), tmp_path).step().steps[0] == 2


def test_a_long_way_to_a_rung_is_saved_in_between_and_only_the_newest_is_kept(tmp_path):
    saved, now = [], []

    class Watched(CurveTrainer):
        def save(self, directory):
            saved.append(self.step)
            return super().save(directory)

    worker = worker_of(Watched(DATASET), save_seconds=0.0, chunk_seconds=0.0008)
    begun(worker, tmp_path)
    while worker.step().step < 70:
        now.append([entry.name for entry in (tmp_path / "3").glob("checkpoint-*")])
    assert set(saved) > {1, 10, 30}
    assert all(len(names) <= 2 for names in now)
    # the worker is killed here: another goes on from the newest checkpoint
    first = begun(worker_with(), tmp_path, reported=30).step()
    assert first.steps[0] == max(saved) + 1 > 31


def test_training_goes_on_while_a_checkpoint_is_written_and_an_error_of_it_halts(tmp_path):
    written: list[Future] = []

    class Slow(CurveTrainer):
        def save(self, directory):
            super().save(directory)
            written.append(Future())
            return written[-1]

    worker = begun(worker_of(Slow(DATASET), save_seconds=0.0), tmp_path)
    assert worker.step().step == 1
    assert worker.step().step > 1
    assert not written[0].done()
    written[0].set_exception(OSError(errno.ENOSPC, "No space left on device", "checkpoint-1"))
    halted = worker.step()
    assert (halted.kind, halted.reason[:37]) == ("halt", "checkpoint-1: No space left on device")


def test_half_written_checkpoints_of_a_killed_process_are_ignored_and_cleared(tmp_path):
    left = tmp_path / "3" / ".checkpoint-30.x7f"
    left.mkdir(parents=True)
    results = run_to_end(begun(worker_with(), tmp_path))
    assert results[0].steps[0] == 1
    assert not left.exists()


def test_a_diverged_trial_fails_with_its_reason_and_the_next_one_runs(tmp_path):
    trainer = CurveTrainer(DATASET, diverge=1e-9)
    worker = worker_of(trainer)
    failed = begun(worker, tmp_path).step()
    assert (failed.kind, failed.reason, failed.step) == ("failed", "total loss is nan at step 1", 0)
    trainer._trouble = {}
    assert run_to_end(begun(worker, tmp_path, number=4))[-1].step == 90


def test_a_programming_error_fails_its_trial_in_one_line_with_the_traceback_beside_it(tmp_path):
    results = run_to_end(begun(worker_with(crash=15), tmp_path))
    assert (results[-1].kind, results[-1].reason) == ("failed", "ZeroDivisionError: the formula broke")
    assert "in train" in results[-1].traceback


def test_what_only_the_user_can_mend_halts_the_search(tmp_path):
    results = run_to_end(begun(worker_with(refuse=15), tmp_path))
    assert (results[-1].kind, results[-1].reason) == ("halt", "weights.zip: is gone; fetch it again")


def test_a_full_disk_halts_the_search_and_loses_no_checkpoint(tmp_path):
    class Full(CurveTrainer):
        def save(self, directory):
            if self.step > 10:
                raise OSError(errno.ENOSPC, "No space left on device", str(directory))
            return super().save(directory)

    results = run_to_end(begun(worker_of(Full(DATASET)), tmp_path))
    assert results[-1].kind == "halt"
    assert "checkpoint-30: No space left on device; fix that" in results[-1].reason
    assert newest_checkpoint(tmp_path / "3")[0] == 10


def test_a_trainer_that_cannot_be_made_fails_the_trial_and_is_tried_again(tmp_path, monkeypatch):
    attempts = []

    def make(dataset, **options):
        attempts.append(options)
        if len(attempts) == 1:
            raise TrialFailed("out of memory")
        return CurveTrainer(dataset)

    monkeypatch.setattr(curve_trainer, "made", make, raising=False)
    worker = Worker(Trainers({"mobilenet": "curve_trainer:made"}, DATASET, {"cpus": 1}), "detection")
    assert begun(worker, tmp_path).step().reason == "out of memory"
    assert begun(worker, tmp_path).step().kind == "progress"
    assert run_to_end(begun(worker, tmp_path, number=4))[-1].step == 90
    assert attempts == [{"cpus": 1}] * 2, "what was made is kept"


def test_models_of_one_factory_share_their_trainer():
    factories = {"mobilenet": "curve_trainer:CurveTrainer", "retinanet": "curve_trainer:CurveTrainer"}
    trainers = Trainers(factories | {"efficientdet": "pid_trainer:PidTrainer"}, DATASET, {})
    assert trainers("mobilenet") is trainers("retinanet")
    assert trainers("efficientdet") is not trainers("mobilenet")


def test_a_folder_of_the_trial_lists_the_trainers_own_files_once_they_are_there(tmp_path):
    begun(worker_with(), tmp_path).step()
    names = json.loads((tmp_path / "3" / "files.json").read_text())
    assert names == ["pipeline.config"]
    assert (tmp_path / "3" / "pipeline.config").read_text() == 'model { detector: "mobilenet" }\n'


def test_a_trainer_is_named_by_its_import_path():
    assert isinstance(make_trainer("curve_trainer:CurveTrainer", DATASET, {"cpus": 1}), CurveTrainer)


def test_a_machine_that_does_not_see_the_drivers_folder_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tuning.execution.trial_files.SEEN_SECONDS", 0.0)
    worker = worker_with()
    worker.begin(Assignment(3, RECIPE, tmp_path / "elsewhere" / "3", RUNGS, reported=30))
    halted = worker.step()
    assert halted.kind == "halt"
    assert "elsewhere/3: is not on " in halted.reason
    assert halted.reason.endswith("give a --studies-dir that all machines see, or s3://bucket/prefix")
    assert not (tmp_path / "elsewhere").exists()
