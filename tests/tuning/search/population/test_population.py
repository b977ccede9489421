"""Population based training: who replaces whom, where weights come from, and what a kill leaves."""

from __future__ import annotations

import pytest
from curve_trainer import DATASET, DriftingTrainer
from searches import CONDITIONS, OBJECTIVE, SPACE, context, recipe_of, score

from tuning.execution.trial_source import assignment_of
from tuning.execution.worker import Worker
from tuning.reporting.context import ReportContext
from tuning.reporting.ledger import ledger
from tuning.reporting.parts import population as parts
from tuning.search.limits.budget import Budget, Spending
from tuning.search.limits.meter import Meter
from tuning.search.population.bandit import explorer_of
from tuning.search.population.exploring import kept
from tuning.search.population.requirements import POPULATIONS
from tuning.search.samplers.random_sampler import RandomSampler
from tuning.search.schedulers.population import Population, even_steps
from tuning.search.search import Search
from tuning.study import reading
from tuning.study.fork import Fork, lineage

RUNGS = (30, 60, 90)
MEMBERS = 8


def search_of(study, members: int = MEMBERS, **more: object) -> Search:
    seed = study.manifest.seed
    explorer = explorer_of(study.manifest.scheduler, lambda trial: SPACE.suggest(trial, CONDITIONS), seed)
    sampler = RandomSampler(context(seed=seed))
    return Search(study, sampler, Population(RUNGS, seed=seed), members, explorer=explorer, **more)  # type: ignore[arg-type]


def train(search: Search, workers: int = 1, messages: int | None = None, **trouble: object) -> None:
    """Run a search with real workers in this process, in turns; at most so many of their messages."""
    idle = [
        Worker(lambda model, fold: DriftingTrainer(DATASET, **trouble), "detection", 1e-3)
        for _ in range(workers)
    ]
    busy: dict[int, Worker] = {}
    while True:
        while idle and (record := search.propose()) is not None:
            busy[record.number] = idle.pop(0)
            busy[record.number].begin(assignment_of(search, record))
        if not busy:
            return
        for number in sorted(busy):
            if messages == 0:
                return
            messages = None if messages is None else messages - 1
            if not search.report(busy[number].step()):
                idle.append(busy.pop(number))


def told(study) -> list[tuple[object, ...]]:
    return [
        (r.number, r.state, r.provenance, r.recipe_id, [(rung.step, rung.value) for rung in r.rungs])
        for r in study.records()
    ]


@pytest.fixture(scope="module", params=POPULATIONS)
def whole(request, tmp_path_factory):
    """A whole population with one worker."""
    from searches import about

    from tuning.study.study import Study

    study = Study.open(tmp_path_factory.mktemp("whole") / "street", about(scheduler=request.param))
    train(search_of(study))
    yield study
    study.close()


def test_the_worst_quarter_goes_on_from_the_weights_of_the_best_quarter(whole):
    records = whole.records()
    for step in RUNGS[:-1]:
        there = {r.number: rung.value for r in records for rung in r.rungs if rung.step == step}
        best_first = sorted(there, key=lambda number: -there[number])
        forks = [r.fork for r in records if r.fork and r.fork.step == step]
        assert {fork.instead_of for fork in forks} == set(best_first[-2:])
        assert {fork.of for fork in forks} <= set(best_first[:2])
        assert len(there) == MEMBERS
        for record in records:
            if record.fork and record.fork.step == step:
                assert record.rungs[0].value >= there[record.fork.of]  # what was learned is there
                assert kept(record.recipe) == kept(records[record.fork.of].recipe)


def test_it_costs_as_much_as_its_members_trained_to_their_ends(whole):
    records = whole.records()
    assert sum(record.spent.steps for record in records) == MEMBERS * 90
    assert sum(record.state == "completed" for record in records) == MEMBERS
    found = ledger(records, 90, {}, whole.objective)
    assert found.saved_steps == 0
    assert len(found.entries) == len(records) - MEMBERS


def test_every_generation_of_a_member_says_whose_weights_it_has_and_what_has_changed(whole):
    records = {record.number: record for record in whole.records()}
    forks = {number: record.fork for number, record in records.items()}
    last = records[max(records)]
    assert last.fork is not None
    of, instead = last.fork.of, last.fork.instead_of
    assert last.provenance["name"] == f"trial {of} from step 60, in place of trial {instead}"
    assert "learning_rate" in last.provenance["source"]
    assert "→" in last.provenance["source"]
    assert (
        records[instead].verdict.reason
        == f"replaced at step 60 by trial {last.number}, from trial {of}'s weights"
    )
    whose = lineage(last.number, forks)
    assert whose[0][1] == 0
    assert whose[-2:] == [(of, records[of].began_at), (last.number, 60)]
    assert [step for _, step in whose] == sorted(step for _, step in whose)


def test_the_report_says_whose_recipes_trained_the_best_trials_weights(whole):
    context = ReportContext(reading.read("street", whole.folder.parent))
    found = parts.section(context)
    records = whole.records()
    assert [row["trial"] for row in found.data["trials"]] == [r.number for r in records if r.fork]
    for row, shown in zip(found.data["trials"], found.tables[0].rows, strict=True):
        donor = {rung.step: rung.value for rung in records[row["of"]].rungs}[row["step"]]
        assert row["value_of"] == donor > row["value_instead_of"]
        assert shown[1] == str(row["of"])
        assert row["lineage"][-1] == (row["trial"], row["step"])
    best = context.best
    assert found.text[1].endswith(f"trial {best.number} to step 90.")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_it_is_the_same_with_any_number_of_workers(open_study, whole, workers):
    study = open_study(scheduler=whole.manifest.scheduler)
    train(search_of(study), workers)
    assert told(study) == told(whole)


@pytest.mark.slow
@pytest.mark.parametrize("messages", [3, 15, 29, 53, 60])
def test_after_a_kill_it_goes_on_as_if_there_was_none(open_study, whole, messages):
    train(search_of(open_study(scheduler=whole.manifest.scheduler)), 2, messages)
    study = open_study(scheduler=whole.manifest.scheduler)
    train(search_of(study), 2, 5)
    study = open_study(scheduler=whole.manifest.scheduler)
    train(search_of(study))
    assert told(study) == told(whole)


@pytest.mark.slow
def test_a_trial_whose_successor_was_begun_before_a_kill_ends_once(open_study, whole, monkeypatch):
    study = open_study(scheduler=whole.manifest.scheduler)
    search = search_of(study)
    tell = study.tell

    def killed(number, verdict):
        if "replaced" in verdict.reason:
            raise KeyboardInterrupt
        return tell(number, verdict)

    monkeypatch.setattr(study, "tell", killed)
    with pytest.raises(KeyboardInterrupt):
        train(search)
    assert study.records()[-1].fork is not None
    study = open_study(scheduler=whole.manifest.scheduler)
    train(search_of(study))
    assert told(study) == told(whole)


@pytest.mark.slow
def test_a_member_that_fails_holds_up_nobody(open_study):
    study = open_study(scheduler="pbt")
    train(search_of(study), diverge=0.02)
    states = [record.state for record in study.records()]
    assert "failed" in states
    assert states.count("completed") == MEMBERS - states.count("failed")


@pytest.mark.slow
def test_more_members_train_among_each_other(open_study):
    train(search_of(open_study(scheduler="pbt"), 4))
    study = open_study(scheduler="pbt")
    before = told(study)
    train(search_of(study), 2)
    assert told(study)[: len(before)] == before
    added = study.records()[len(before) :]
    assert sum(record.fork is None for record in added) == 4
    assert sum(record.state == "completed" for record in study.records()) == 8
    assert all(record.fork.of >= len(before) for record in added if record.fork)


@pytest.mark.slow
def test_where_the_budget_ends_first_one_is_trained_to_its_end(open_study):
    study = open_study(scheduler="pbt")
    spending = Spending(Meter(study), Budget(trainings=4.5), 90)
    search = search_of(study, spending=spending)
    train(search)
    assert search.limit_reached == "--like 4.5"
    assert 90 * 3.5 < sum(record.spent.steps for record in study.records()) <= 90 * 4.5
    assert "completed" in [record.state for record in study.records()]


def test_the_sampler_is_told_nothing_of_trials_that_began_from_the_weights_of_others(open_study, monkeypatch):
    learned = set()
    monkeypatch.setattr(RandomSampler, "learn", lambda self, trial: learned.add(trial.number))
    study = open_study(scheduler="pbt")
    train(search_of(study))
    search_of(study)
    assert learned == {record.number for record in study.records() if record.fork is None}


def test_where_the_checkpoint_is_gone_the_trial_says_so_and_trains_from_its_start(open_study, monkeypatch):
    from tuning.search.population import forking

    monkeypatch.setattr(forking, "newest_checkpoint", lambda folder: None)
    study = open_study(scheduler="pbt")
    train(search_of(study, 2))
    forked = [record for record in study.records() if record.fork]
    assert forked
    for record in forked:
        assert record.provenance["source"].endswith("; the checkpoint is gone")
        assert record.spent.steps == record.step


def ranked(*values: float) -> Population:
    population = Population(RUNGS)
    for trial, value in enumerate(values):
        population.record(trial, 30, score(value))
    return population


@pytest.mark.parametrize(
    ("values", "fork"),
    [
        ((0.1,), None),
        ((0.1, 0.2), Fork(1, 30, 0)),
        ((0.3, 0.1, 0.2), Fork(0, 30, 1)),
        ((0.2, 0.2, 0.2, 0.2), None),
        ((0.5, 0.2, 0.2, 0.2), Fork(0, 30, 3)),
    ],
    ids=["one alone", "of two the worse", "of three the worst", "all alike", "of equal ones the last"],
)
def test_a_trial_is_replaced_by_a_better_one_or_not_at_all(values, fork):
    waiting = dict.fromkeys(range(len(values)), 30)
    population = ranked(*values)
    assert population.fork(waiting, more=True) is None
    assert population.promotable(waiting, more=True) is None
    assert population.fork(waiting, more=False) == fork
    assert (population.promotable(waiting, more=False) is None) == (fork is not None)


def test_models_compete_each_by_itself():
    population = Population(RUNGS)
    for trial, (model, value) in enumerate([("slow", 0.01), ("slow", 0.02), ("fast", 0.5), ("fast", 0.6)]):
        population.record(trial, 30, OBJECTIVE.of_values((value, value, 1.0), model))
    waiting, found = dict.fromkeys(range(4), 30), []
    while (fork := population.fork(waiting, more=False)) is not None:
        found.append((fork.of, fork.instead_of))
        del waiting[fork.instead_of]
    assert found == [(3, 2), (1, 0)]


def test_below_chance_the_losses_of_one_model_are_not_compared_with_each_other():
    population = Population(RUNGS)
    for trial, (head, loss) in enumerate(
        [("retina", 1.0), ("retina", 2.0), ("pisa", 700.0), ("pisa", 800.0)]
    ):
        population.record(trial, 30, OBJECTIVE.of_values((0.0, 0.0, loss), "family", f"family {head}"))
    fork = population.fork(dict.fromkeys(range(4), 30), more=False)
    assert fork.of in (0, 2)
    assert fork.instead_of in (1, 3)


@pytest.mark.parametrize(
    ("steps", "first_rung", "rungs"),
    [
        (90, 30, (30, 60, 90)),
        (300, 30, (38, 75, 113, 150, 188, 225, 263, 300)),
        (40, 30, (20, 40)),
        (1, 30, (1,)),
    ],
)
def test_rungs_are_at_equal_distances_and_none_is_too_early(steps, first_rung, rungs):
    assert even_steps(steps, 3, first_rung) == rungs


def test_a_study_keeps_the_recipe_from_which_step_on(whole):
    for record in whole.records():
        assert recipe_of(record.recipe).recipe_id == record.recipe_id
        assert record.began_at == (record.fork.step if record.fork else 0)
        assert all(rung.step > record.began_at for rung in record.rungs)
