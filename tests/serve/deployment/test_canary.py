"""A canary is judged by what it and the champion find in the same images, job by job, and never by chance."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from canaries import KINDS, rollout

from serve.deployment.database import Database
from serve.deployment.evidence import Bounds, Evidence, judge, judge_errors, ratio_interval
from serve.deployment.rollout import ROW, Rollout
from serve.errors import Refused
from serve.jobs.job import Job
from serve.jobs.options import Options
from serve.jobs.queue import JobQueue
from serve.jobs.store import JobStore
from serve.jobs.submission import Submission
from serve.metrics.counters import Counters
from serve.storage.job_files import JobFiles

BOUNDS = Bounds(images=100, jobs=5)


def units(*rows, images=32):
    return np.array([(images, ours, theirs) for ours, theirs in rows], float)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
@pytest.mark.parametrize(("name", "promoted"), [
    ("identical", True), ("as good, but another", True), ("finds 30% less", False), ("finds nothing", False),
    ("finds twice as much", False),
])  # fmt: skip
def test_simulated_rollouts_end_rightly(name, promoted, sigma):
    """tests/benchmarks/serving/canary.py runs 1,000 of each."""
    rng = np.random.default_rng(4)
    results = [rollout(rng, KINDS[name], sigma) for _ in range(30)]
    assert {result for result, _ in results} == {promoted}
    assert max(jobs for _, jobs in results) <= 60


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (units((50, 50), (60, 60)), None),  # too few jobs
        (units(*[(5, 5)] * 5, images=10), None),  # too few images
        (units(*[(0, 0)] * 5), ""),  # empty streets
        (units(*[(50, 50)] * 5), ""),
        (units(*[(35, 50)] * 5), "finds 0.70 times"),
        (units(*[(80, 50)] * 5), "finds 1.60 times"),
        (units(*[(70, 50)] * 5), ""),
        (units((500, 50), (0, 50), (10, 50), (20, 50), (30, 50)), None),  # jobs disagree: wait
        (units(*[(500, 50), (0, 50), (10, 50), (20, 50), (30, 50)] * 10), "finds 2.24 times"),
    ],
)
def test_a_verdict_needs_jobs_that_agree(rows, verdict):
    found = judge(rows, BOUNDS)
    assert found == verdict if not verdict else found.startswith(verdict)


@pytest.mark.parametrize(
    ("images", "errors", "fails"), [(10, 3, True), (10, 1, False), (10_000, 90, False), (10_000, 110, True)]
)
def test_a_canary_may_fail_on_a_small_share_of_images(images, errors, fails):
    assert (judge_errors(images, errors, Bounds()) is not None) == fails


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        theirs = rng.poisson(40, 30).astype(float)
        low, _, high = ratio_interval(rng.poisson(0.8 * theirs).astype(float), theirs)
        covered += low <= 0.8 <= high
    assert 0.97 <= covered / 400 <= 1.0


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path, create=True)


@pytest.fixture
def state(database):
    """A rollout with the champion "old"."""
    state = Rollout(database, Counters(database))
    state.begin("old")
    state.beat("a")
    return state


def test_evidence_is_added_up_by_job(database):
    evidence = Evidence(database)
    for _ in range(2):
        evidence.add("new", "job 1", 3, 4)
        evidence.add("new", "job 2", 0, 1)
        evidence.flush()
    assert sorted(evidence.units("new").tolist()) == [[2, 0, 2], [2, 6, 8]]


def test_a_promotion_that_is_refused_leaves_the_evidence_of_the_canary_and_a_new_one_begins_without(
    state, database
):
    evidence = Evidence(database)
    state.propose("new", 0.5, BOUNDS)
    state.loaded("new", "a")
    evidence.add("new", "job 1", 3, 4)
    evidence.flush()
    with pytest.raises(Refused, match="is in progress"):
        state.propose("new", 0.5, BOUNDS)
    assert evidence.units("new").tolist() == [[1, 3, 4]]
    state.roll_back("requested")
    state.propose("new", 0.5, BOUNDS)
    assert evidence.units("new").tolist() == []


def test_a_model_serves_only_once_every_replica_has_loaded_it(state):
    state.beat("b")
    state.propose("new", 1.0, BOUNDS)
    state.loaded("new", "a")
    assert state.state().champion == "old"
    state.loaded("new", "b")
    assert state.state().champion == "new"


def test_a_replica_that_stopped_is_not_waited_for(state):
    state.beat("b")
    state.propose("new", 1.0, BOUNDS)
    state.gone("b")
    state.loaded("new", "a")
    assert state.state().champion == "new"


def test_after_a_promotion_a_rollback_returns_to_the_model_before(state):
    state.propose("new", 1.0, BOUNDS)
    state.loaded("new", "a")
    back = state.roll_back("requested")
    assert (back.champion, back.candidate.model, back.candidate.phase) == ("old", "new", "rolled back")
    with pytest.raises(Refused, match="no model served before"):
        state.roll_back("requested")


def add(database, tmp_path, number, model) -> Job:
    folder = tmp_path / f"incoming-{number}"
    folder.mkdir()
    return JobStore(database, JobFiles(tmp_path / "jobs")).add(
        folder, Submission("clip", "upload", Options()), model, 100
    )[0]


@pytest.mark.parametrize("automatic", [True, False])
def test_the_jobs_of_a_canary_that_is_rolled_back_go_to_the_champion(automatic, state, database, tmp_path):
    state.propose("new", 0.5, BOUNDS)
    state.loaded("new", "a")
    store, queue = JobStore(database, JobFiles(tmp_path / "jobs")), JobQueue(database)
    jobs = [add(database, tmp_path, number, model) for number, model in enumerate(("new", "new", "old"))]
    running = queue.start(jobs[0].id, segments=0)
    if automatic:
        evidence = Evidence(database)
        for unit in range(5):
            for _ in range(32):
                evidence.add("new", str(unit), 1, 2)
        evidence.flush()
        state.judge()
        assert "0.50 times as much" in state.state().candidate.why
    else:
        state.roll_back("requested")
    assert {store.get(job.id).model for job in jobs} == {"old"}
    assert store.get(running.id).state == "queued"
    assert not queue.done(running, {"frames": 1, "objects": 0, "damaged": 0}, 1), "its result is not taken"
    assert queue.start(running.id, 0).model == "old"


def test_the_state_that_an_earlier_version_stored_is_read(state, database):
    bounds = {"images": 30, "errors": 0.1, "rate": 0.4}
    candidate = {"model": "new", "share": 0.5, "phase": "canary", "since": 1.0, "bounds": bounds,
                 "baseline": {}, "why": None}  # fmt: skip
    with database.transaction() as db:
        text = json.dumps({"champion": "old", "candidate": candidate})
        db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (ROW, text))
    assert state.state().candidate.bounds == Bounds(images=30, errors=0.1, fewer=0.4, more=0.4)


def test_evidence_that_cannot_be_written_is_kept_for_the_next_time(tmp_path, monkeypatch):
    database = Database(tmp_path, create=True)
    evidence = Evidence(database)
    evidence.add("candidate", "job", 3, 4)

    def locked():
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(database, "transaction", locked)
        with pytest.raises(sqlite3.OperationalError):
            evidence.flush()
    evidence.add("candidate", "job", 1, 1)
    evidence.flush()
    assert evidence.units("candidate").tolist() == [[2, 4, 5]]
