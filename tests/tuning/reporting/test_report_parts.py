"""Each section of the report shows what the study's records hold."""

from __future__ import annotations

import itertools

import made_study
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tuning.reporting.context import ReportContext
from tuning.reporting.parts import advice, curves, detectors, label_errors, losses
from tuning.reporting.parts.winners import ranking
from tuning.reporting.report import report
from tuning.reporting.statistics.best_so_far import best_so_far, first_reaching
from tuning.reporting.statistics.rung_trials import RungTrials
from tuning.study import reading

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """The folder of a finished study of 14 trials of three detectors."""
    folder = tmp_path_factory.mktemp("studies") / "street"
    made_study.make(folder, 14, space="all", images=24)
    return folder


@pytest.fixture(scope="module")
def context(street):
    return ReportContext(reading.read("street", street.parent))


@pytest.fixture(scope="module")
def written(context):
    return report(context.study, price_per_hour=3.0)


@pytest.fixture(scope="module")
def sections(written):
    return {section.key: section for section in written.sections}


def test_a_finished_study_has_every_part(sections):
    assert list(sections) == [
        "ranking", "detectors", "choices", "predictions", "curves", "losses", "parameters", "breakdown",
        "early-stopping", "known", "cost", "next", "about",
    ]  # fmt: skip


def test_the_ranking_is_the_searchs_own_with_intervals_around_what_was_measured(context):
    found = ranking.ranked_trials(context)
    assert [each.trial for each in found] == [record.number for record in context.ranked]
    for each in found:
        assert each.value == context.study.records[each.trial].value
        if each.interval is not None:
            assert each.interval.low < each.value < each.interval.high
    assert found[0].interval is not None
    assert found[0].lead is None
    full = [each for each in found[1:] if each.step == found[0].step]
    assert full
    for each in full:
        assert each.lead.value == pytest.approx(found[0].value - each.value)
        assert each.lead.low < each.lead.value < each.lead.high
    assert all(each.lead is None for each in found if each.step < found[0].step), "of other budgets"


def test_trials_whose_detections_are_of_another_mean_ap_get_no_interval(tmp_path):
    folder = tmp_path / "street"
    made_study.make(folder, 2)
    first, second = (folder / "trials" / name / "detections-400.npz" for name in "01")
    first.write_bytes(second.read_bytes())
    found = {
        each.trial: each for each in ranking.ranked_trials(ReportContext(reading.read("street", tmp_path)))
    }
    assert found[0].interval is None
    assert found[1].interval is not None


def test_detectors_are_compared_where_all_have_been_and_at_equal_numbers(context, sections):
    found = sections["detectors"].data["detectors"]
    assert {each["model"] for each in found} == {"mobilenet", "retinanet", "efficientdet"}
    for each in found:
        mine = [r for r in context.records if r.recipe["model"] == each["model"]]
        assert each["trials"] == len(mine)
        assert each["first"] == 45
        assert each["best"] == max(rung.value for r in mine for rung in r.rungs if rung.step == each["last"])
    assert len({each["draws"] for each in found}) == 1


@pytest.mark.parametrize("draws", [1, 2, 3, 4])
def test_the_expected_best_is_the_mean_over_all_choices(draws):
    values = [0.1, 0.5, 0.2, 0.4]
    best = [max(chosen) for chosen in itertools.combinations(values, draws)]
    assert detectors.expected_best(values, draws) == pytest.approx(sum(best) / len(best))


def test_what_a_level_cost_is_counted_over_all_trials_in_their_order(context):
    points = best_so_far(context.records, context.study.objective)
    assert points[-1].steps == sum(record.step for record in context.records)
    assert points[-1].seconds == pytest.approx(sum(record.rungs[-1].seconds for record in context.records))
    assert [point.best for point in points] == sorted(point.best for point in points)
    best = first_reaching(points, context.best.value, context.study.objective)
    assert best.best == context.best.value
    assert first_reaching(points, 0.99, context.study.objective) is None


@pytest.mark.parametrize(
    ("training", "validation", "says"),
    [
        ([(1, 3.0), (10, 2.0), (20, 1.0)], [(10, 2.1), (20, 1.4)], "still falling at its last rung (1.400)"),
        ([(1, 3.0), (10, 2.0), (20, 0.5)], [(10, 2.1), (20, 2.6)], "while training loss fell to 0.500: it overfits"),
        ([(1, 3.0), (10, 2.0), (20, 9.0)], [(10, 2.1), (20, 2.6)], "training loss did not fall: it diverges"),
        ([(1, 3.0), (10, 2.0), (20, 1.9)], [(10, 2.1), (20, 2.11)], "not fallen further since step 10; no clear"),
        ([(1, 3.0)], [(10, 2.1)], "one rung only"),
        ([], [(10, 2.1), (20, 2.6)], "validation loss has risen from 2.100 at step 10 to 2.600"),
    ],
)  # fmt: skip
def test_overfitting_is_told_by_both_losses(training, validation, says):
    assert says in losses.fit(4, training, validation).says


def test_of_many_curves_the_best_and_an_even_choice_of_the_others_are_drawn(context):
    ranked = list(range(1000))
    chosen = curves.fair_choice(ranked, 150)
    assert chosen[:50] == ranked[:50]
    assert len(chosen) == len(set(chosen)) == 150
    assert {place // 100 for place in chosen} == set(range(10))
    assert curves.fair_choice(ranked[:150], 150) == ranked[:150]


def _there(values: list[float], distribution) -> RungTrials:
    """Trials of one parameter `x`, the best first."""
    trials = [
        optuna.trial.create_trial(params={"x": value}, distributions={"x": distribution}, value=-i)
        for i, value in enumerate(values)
    ]
    falling = [1 - i / 100 for i in range(len(values))]
    return RungTrials(45, [], trials, falling, falling)


RATE, KIND = FloatDistribution(1e-4, 1.0, log=True), CategoricalDistribution(["adam", "momentum"])


@pytest.mark.parametrize(
    ("values", "distribution", "says"),
    [
        ([0.9, 0.8, 0.7, 0.6] + [1e-3] * 12, RATE, "x: 4 of the 4 best trials lie at the upper end of its range: "),
        ([1e-4, 2e-4, 1e-4, 2e-4] + [0.1] * 12, RATE, "lower end of its range: extend it below 0.0001."),
        ([0.01, 0.01, 0.02, 0.02] + [0.1] * 12, RATE, None),
        (["adam"] * 8 + ["momentum"] * 24, KIND, "8 of the 8 best trials have adam, and 8 of all 32: fix it to adam."),
        (["adam", "momentum"] * 16, KIND, None),
        (["adam"] * 32, KIND, None),
        ([0.9, 0.8, 0.7], RATE, None),
    ],
)  # fmt: skip
def test_the_edges_and_choices_that_good_trials_share_are_told_from_chance(values, distribution, says):
    found = advice.tendency(_there(values, distribution), "x", chance=0.01)
    assert found is None if says is None else says in found


def test_what_failed_only_at_high_rates_is_said(tmp_path):
    made_study.make(tmp_path / "street", 8, fails_above=0.003)
    found = {s.key: s for s in report(reading.read("street", tmp_path)).sections}["next"]
    assert any("failed, all with learning rates of 0.00" in line for line in found.text)


def test_the_ledger_the_cost_and_the_known_recipes_are_the_records_own(context, sections):
    pruned = [record for record in context.records if record.state == "pruned"]
    assert len(sections["early-stopping"].data["entries"]) == len(pruned)
    assert sections["cost"].data["total"]["steps"] == sum(record.step for record in context.records)
    own = {each["trial"]: each for each in sections["known"].data["recipes"] if each["trial"] is not None}
    for record in context.records:
        if record.provenance:
            assert own[record.number]["value"] == record.value


def test_where_the_images_are_gone_the_pictures_are_a_sentence(sections):
    assert sections["predictions"].text[0].startswith("No pictures: nowhere")
    assert sections["predictions"].pictures == ()


def test_likely_label_errors_come_first_where_they_are_asked_for(context):
    assert label_errors.section(context) is None
    asked = report(context.study, suspects=True).sections[0]
    assert asked.title == "Likely label errors"
    assert asked.text[0].startswith("The images could not be read: nowhere")


def test_the_price_of_an_hour_makes_a_cost(sections):
    total = sections["cost"].data["total"]
    assert total["cost"] == pytest.approx((total["training"] + total["overhead"]) / 3600 * 3.0)
    assert any(sentence.startswith("At 3 per worker and hour, ") for sentence in sections["cost"].text)


def test_commands_name_the_folder_of_studies(street, written):
    assert dict(written.commands)["promote it"].endswith(f"--studies-dir {street.parent}")
