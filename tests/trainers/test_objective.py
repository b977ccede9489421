"""What a person may name as an objective, and how it orders trials."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers import task as tasks
from trainers.errors import UserError
from trainers.metrics import Metric
from trainers.objective import Criterion, Objective, parse

CLASSES = ("vehicle", "traffic light", "car+trailer", "c++", "0.5*scale")
DETECTION = tasks.get("detection")
# of a task that is not there: exact values, errors, and values without a bound
OFFERED = {
    "accuracy": Metric("accuracy", chance=0.1),
    "error": Metric("error", "minimize", resolution=0.01),
    "fit": Metric("fit", bounded=False),
    "cost": Metric("cost", "minimize", bounded=False),
}
TIES = tuple(
    Criterion(name, ((1.0, name),), kind.direction, kind.chance, kind.resolution, kind.bounded)
    for name, kind in OFFERED.items()
    if name != "fit"
)


def of(text: str | None) -> Objective:
    return DETECTION.objective(text, CLASSES)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("mAP", {"mAP": 1}),
        ("AR_small", {"AR_small": 1}),
        ("0.7*mAP+0.3*mAP_small", {"mAP": 0.7, "mAP_small": 0.3}),
        (" .7 * mAP + 3e-1*mAP_small ", {"mAP": 0.7, "mAP_small": 0.3}),
        ("mAP+2*mAP50", {"mAP": 1, "mAP50": 2}),
        ("AP/traffic light", {"AP/traffic light": 1}),
        ("AP/car+trailer", {"AP/car+trailer": 1}),
        ("AP/0.5*scale", {"AP/0.5*scale": 1}),
        ("0.5*AP/traffic light + 0.5*AP/vehicle", {"AP/traffic light": 0.5, "AP/vehicle": 0.5}),
        ("0.5*AP/car+trailer+0.5*mAP", {"AP/car+trailer": 0.5, "mAP": 0.5}),
        ("AP/c+++AP/car+trailer", {"AP/c++": 1, "AP/car+trailer": 1}),
        ("2*AP/0.5*scale", {"AP/0.5*scale": 2}),
        ("validation_loss/total", {"validation_loss/total": 1}),
    ],
)
def test_a_metric_or_a_weighted_sum_is_read_as_it_is_written(text, terms):
    objective = of(text)
    assert objective.name == text
    assert {name: weight for weight, name in objective.criteria[0].terms} == terms
    assert objective.metrics == tuple(terms)
    measured = {name: 0.1 * place for place, name in enumerate(terms, start=1)}
    assert objective.value(measured) == pytest.approx(sum(terms[name] * measured[name] for name in terms))


def test_without_a_word_it_is_the_tasks_own_with_the_tasks_ties():
    assert of(None) == of("") == of("mAP")
    assert of(None).judged_by == (
        "mAP", "mAP50", "validation_loss/classification", "validation_loss/localization", "validation_loss/total",
    )  # fmt: skip
    assert [criterion.label for criterion in of("mAP50").criteria] == ["mAP50", "validation loss"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mAP_smal", "unknown metric 'mAP_smal'; did you mean mAP_small? metrics: mAP, mAP50, mAP75, "),
        (
            "AP/trafic light",
            "unknown metric 'AP/trafic light'; did you mean AP/traffic light? metrics: mAP, ",
        ),
        ("F1", "unknown metric 'F1'; metrics: mAP, mAP50, "),
        ("0.7*mAP+0.3*Recall", "unknown metric 'Recall'; metrics: mAP, "),
        ("0.7*AP/vehicles", "unknown metric 'AP/vehicles'; did you mean AP/vehicle? metrics: mAP, "),
        ("mAP+", "not a metric or a weighted sum of metrics such as 0.7*A+0.3*B; metrics: mAP, "),
        ("+", "not a metric or a weighted sum of metrics such as 0.7*A+0.3*B; metrics: mAP, "),
        ("0.7*", "unknown metric '0.7*'; metrics: mAP, "),
        ("0*mAP", "the weight of mAP must be above 0, not 0"),
        ("0.7*mAP+0.0*mAP50", "the weight of mAP50 must be above 0, not 0"),
        ("-1*mAP", "the weight of mAP must be above 0, not -1"),
        ("1e999*mAP", "the weight of mAP must be above 0, not inf"),
        (
            "mAP+validation_loss/total",
            "cannot add metrics to maximize and metrics to minimize",
        ),
    ],
)
def test_what_is_no_objective_is_refused_in_one_line_with_what_is_offered(text, says):
    with pytest.raises(UserError) as refused:
        of(text)
    assert str(refused.value).startswith(f"--objective {text}: {says}")
    assert "\n" not in str(refused.value)


def test_of_many_metrics_an_error_lists_the_first_and_counts_the_others():
    classes = [f"class {number}" for number in range(1, 31)]
    with pytest.raises(UserError, match=r"metrics: mAP, .*AR_large, AP/class 1, .*, AP/class 8 and 25 more$"):
        DETECTION.objective("F1", classes)
    with pytest.raises(UserError, match=r"metrics: accuracy, error, fit, cost$"):
        parse("F1", OFFERED)


# key and merit of the rule that detection had before there were objectives, by mAP, mAP50 and loss
OLD_RULE = [
    ((0.0, 0.0, math.inf), (0, 0, -math.inf), 0.0),
    ((0.004, 0.019, 3.0), (0, 0, -3.0), 0.00010221195843270134),
    ((0.001, 0.03, 9.0), (0, 30, -9.0), 0.02997527274199329),
    ((0.005, 0.02, 1.5), (5, 20, -1.5), 5.020146873295221),
    ((0.3126, 0.5871, 0.75), (313, 587, -0.75), 313.58612292139253),
    ((1.0, 1.0, 0.0), (1000, 1000, 0.0), 1000.998502994012),
    ((0.0124, 0.0196, 40.0), (12, 0, -40.0), 12.000007940209493),
]


@pytest.mark.parametrize(("values", "key", "merit"), OLD_RULE)
def test_detection_ranks_as_it_did_before_there_were_objectives(values, key, merit):
    score = of(None).of_values(values)
    assert (score.value, score.values, score.key, score.merit) == (values[0], values, key, merit)


def test_ties_are_broken_by_map50_and_then_by_the_loss_of_boxes_and_classes():
    measured = {
        "mAP": 0.3, "mAP50": 0.5, "validation_loss/total": 9.0, "validation_loss/classification": 1.0,
        "validation_loss/localization": 0.5,
    }  # fmt: skip
    objective = of(None)
    assert objective.score(measured).values == (0.3, 0.5, 1.5)
    only_total = {"mAP": 0.3, "validation_loss/total": 9.0, "validation_loss/classification": 1.0}
    assert objective.score(only_total).values == (0.3, 0.0, 9.0)
    assert objective.score({"mAP": 0.3}) == objective.of_value(0.3)
    one, other = objective.score(measured), objective.score(measured | {"mAP": 0.3004, "mAP50": 0.4})
    assert one.key > other.key
    assert objective.tie_broken_by(other, one) == "mAP50: 0.400 to 0.500"
    worse = objective.score(measured | {"validation_loss/localization": 2.25})
    assert objective.tie_broken_by(worse, one) == "validation loss: 3.25 to 1.5"
    assert objective.tie_broken_by(one, one) == ""
    assert objective.tie_broken_by(objective.of_value(0.2), one) == ""


def test_below_chance_the_ties_decide_and_from_it_on_the_value():
    objective = of(None)
    lucky, learned = objective.of_values((0.0049, 0.0199, 3.0)), objective.of_values((0.0, 0.0, 2.0))
    assert lucky.key < learned.key < objective.of_values((0.005, 0.0, 9.0)).key
    assert learned.key < objective.of_values((0.0, 0.02, 9.0)).key
    summed = of("0.5*mAP+0.5*mAP50")
    assert summed.of_value(0.0124).key[0] == 0  # its chance is .0125
    assert summed.of_value(0.013).key[0] == 13


def test_an_objective_to_minimize_is_better_when_smaller():
    objective = of("validation_loss/total")
    assert objective.direction == "minimize"
    small, large = (objective.score({"validation_loss/total": loss}) for loss in (0.5, 2.0))
    assert (small.value, small.key > large.key, small.merit > large.merit) == (0.5, True, True)
    assert objective.better(0.5, 2.0)
    assert not objective.better(2.0, 0.5)
    assert of("mAP").better(0.5, 0.2)


values = st.floats(0, 1).map(lambda value: round(value, 4))
costs = st.floats(0, 50).map(lambda value: round(value, 3)) | st.just(math.inf)


def in_the_same_order(objective: Objective, one: tuple[float, ...], other: tuple[float, ...]) -> None:
    """Strictly, but where what breaks a tie would have no room: after a value that is compared exactly."""
    first, second = sorted((objective.of_values(one), objective.of_values(other)), key=lambda each: each.key)
    if first.key == second.key:
        assert first.merit == second.merit
        return
    place = next(i for i, pair in enumerate(zip(first.key, second.key, strict=True)) if pair[0] != pair[1])
    before = zip(objective.criteria[:place], first.key, strict=False)
    if all(criterion.resolution or (criterion.chance and key == 0) for criterion, key in before):
        assert first.merit < second.merit
    else:
        assert first.merit <= second.merit


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["mAP", "mAP50", "AP/vehicle", "0.7*mAP+0.3*mAP_small", "5*mAP", "validation_loss/total"]
)
@given(data=st.data())
def test_the_merit_of_a_detector_has_the_order_of_its_key(text, data):
    objective = of(text)
    drawn = [
        st.tuples(
            *(costs if criterion.direction == "minimize" else values for criterion in objective.criteria)
        )
        for _ in range(2)
    ]
    in_the_same_order(objective, data.draw(drawn[0]), data.draw(drawn[1]))


@pytest.mark.slow
@pytest.mark.parametrize("text", [*OFFERED, "0.5*accuracy+0.5*fit", "error+cost"])
@given(data=st.data())
def test_the_merit_of_any_task_has_the_order_of_its_key(text, data):
    objective = parse(text, OFFERED, TIES)
    drawn = st.tuples(*(values if criterion.bounded else costs for criterion in objective.criteria))
    one, other = (
        tuple(
            100.0 if place == 0 and value == math.inf else value
            for place, value in enumerate(data.draw(drawn))
        )
        for _ in range(2)
    )
    in_the_same_order(objective, one, other)


def test_at_chance_level_the_merit_of_exact_values_still_tells_by_the_ties():
    objective = parse("accuracy", OFFERED, TIES)
    at_chance = [objective.of_values((0.05, error, 1.0)).merit for error in (0.9, 0.5, 0.1)]
    assert at_chance == sorted(set(at_chance))
    assert at_chance[-1] < objective.of_values((0.1, 1.0, math.inf)).merit


@pytest.mark.parametrize("text", ["error", "cost", "fit", "accuracy"])
def test_a_score_of_which_only_the_value_is_known_is_the_worst_of_those_with_that_value(text):
    objective = parse(text, OFFERED, TIES)
    known = objective.of_value(0.25)
    for measured in itertools.product((0.0, 0.5, 0.99), repeat=len(objective.criteria) - 1):
        assert objective.of_values((0.25, *measured)).key > known.key


@pytest.mark.parametrize(
    ("text", "metrics", "named"),
    [
        ("mAP_small", {"mAP_small": -1.0}, "mAP_small"),
        ("AP/c++", {"mAP": 0.4}, "AP/c++"),
        ("0.7*mAP+0.3*mAP_small", {"mAP": 0.4, "mAP_small": -1.0}, "mAP_small"),
        ("5*mAP_small", {"mAP_small": -1.0}, "mAP_small"),
        ("mAP+mAP50+mAP_small", {"mAP": 0.4, "mAP50": 0.6, "mAP_small": -1.0}, "mAP_small"),
        ("validation_loss/total", {"mAP": 0.4}, "validation_loss/total"),
    ],
)
def test_an_objective_that_these_images_cannot_measure_is_one_line(text, metrics, named):
    objective = of(text)
    assert objective.value(metrics) is None
    with pytest.raises(UserError) as refused:
        objective.score(metrics)
    assert str(refused.value) == (
        f"objective {text}: {named} cannot be measured on these validation images; choose another --objective"
    )


def test_a_loss_of_minus_one_is_a_loss_and_a_tie_that_was_not_measured_is_the_worst():
    assert of("validation_loss/total").score({"validation_loss/total": -1.0}).value == -1.0
    assert of("AP/vehicle").score({"AP/vehicle": 0.3, "mAP50": -1.0}).values == (0.3, 0.0, math.inf)
