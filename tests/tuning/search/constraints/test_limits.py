"""--limit: which networks a search may propose."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from searches import CONDITIONS, OBJECTIVE, about, context, run_here

import search_spaces
from trainers.errors import UserError
from trainers.recipe import architecture
from tuning.api.deployment import costing
from tuning.api.deployment.architectures import architectures
from tuning.search import sampler as samplers
from tuning.search.constraints import served_costs
from tuning.search.constraints.limit import Limit, parse
from tuning.search.constraints.sampler import SamplerWithinLimits
from tuning.search.constraints.served_costs import ServedCosts
from tuning.search.schedulers.halving import Halving
from tuning.search.search import Search
from tuning.study.study import Study

ALL = search_spaces.get("all")
FAMILY = search_spaces.get("retinanet_family")
MILLISECONDS = dict(zip(ALL.models, (60.0, 12.0, 40.0), strict=True))
LIMITS = parse(["latency_ms<=45"])


def costs() -> ServedCosts:
    rows = [each.architecture for each in architectures(ALL, CONDITIONS)]
    known = [
        dataclasses.replace(row, costs={"latency_ms": MILLISECONDS[row.fields["model"]], "megabytes": 9.0})
        for row in rows
    ]
    return ServedCosts(known, "by hand")


@pytest.mark.parametrize(
    ("text", "cost", "most", "on"),
    [
        ("latency_ms<=20", "latency_ms", 20.0, ""),
        (" latency_ms <= 1.5e1 @ tensorflow ", "latency_ms", 15.0, "tensorflow"),
        ("latency_ms<=20@tables/jetson.csv", "latency_ms", 20.0, "tables/jetson.csv"),
        ("megabytes<=12", "megabytes", 12.0, ""),
    ],
)
def test_a_limit_is_a_cost_a_number_and_perhaps_where_it_is_measured(text, cost, most, on):
    assert parse([text]) == (Limit(text.strip().replace(" ", ""), cost, most, on),)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["latency_ms<20"], "not of the form COST<=NUMBER; give one like latency_ms<=20"),
        (["20"], "not of the form COST<=NUMBER"),
        (["mAP<=20"], "nobody measures 'mAP' before training; there are latency_ms and megabytes"),
        (["latency_ms<=0"], "must be above 0, not 0"),
        (["latency_ms<=-3"], "must be above 0, not -3"),
        (["latency_ms<=1e400"], "must be above 0, not inf"),
        (["latency_ms<=2e"], "'2e' is not a number"),
        (["megabytes<=12@openvino"], "megabytes does not depend on a backend; leave out @openvino"),
        (["latency_ms<=20", "latency_ms<=10@tensorflow"], "latency_ms is limited twice"),
    ],
)
def test_what_is_no_limit_is_refused_in_a_line_that_says_why(texts, message):
    with pytest.raises(UserError, match="--limit ") as error:
        parse(texts)
    assert message in str(error.value)


def test_a_limit_that_no_network_keeps_to_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"none of the 3 networks .* the nearest, .* has latency_ms 12"):
        costs().within(parse(["latency_ms<=5"]))


@pytest.mark.parametrize("name", samplers.names())
def test_a_sampler_within_limits_proposes_only_what_keeps_to_them_and_the_same_again(name):
    sampler = samplers.make(name, context(ALL, seed=3))
    within = SamplerWithinLimits(sampler, costs().within(LIMITS), seed=3)
    proposals = [within.propose(number) for number in range(12)]
    assert {proposal.recipe.model for proposal in proposals} == {
        model for model, taken in MILLISECONDS.items() if taken <= 45
    }
    assert within.propose(5) == proposals[5]


def test_where_one_network_of_many_keeps_to_the_limits_its_choices_are_given():
    examples = architectures(FAMILY, CONDITIONS)
    only = examples[-1].architecture
    sampler = samplers.make("random", context(FAMILY, seed=3))
    within = SamplerWithinLimits(sampler, [only], seed=3)
    proposals = [within.propose(number) for number in range(2)]
    assert all(architecture(each.recipe.to_dict()) == only.fields for each in proposals)
    assert len({each.recipe.recipe_id for each in proposals}) == 2


def test_a_search_within_limits_begins_no_other_network_and_keeps_the_costs_as_metrics(tmp_path: Path):
    study = Study.open(tmp_path / "street", about(space="all"), durable=False)
    sampler = samplers.make("random", context(ALL))
    seeds = ALL.seeds(CONDITIONS)
    within, left = costing.within_limits(sampler, seeds, costs(), LIMITS, ALL, CONDITIONS)
    assert 0 < len(left) < len(seeds)
    search = Search(study, within, Halving((10, 30, 90)), 12, left, costs=costs())
    run_here(search)
    records = study.records()
    study.close()
    assert len(records) == 12
    for record in records:
        assert MILLISECONDS[record.model] <= 45
        assert all(rung.metrics["latency_ms"] == MILLISECONDS[record.model] for rung in record.rungs)
    assert OBJECTIVE.name not in costs().architectures[0].costs


def test_the_costs_are_kept_with_the_study(tmp_path: Path):
    assert served_costs.read(tmp_path) == ServedCosts()
    costs().write(tmp_path)
    assert served_costs.read(tmp_path) == costs()
    (tmp_path / served_costs.FILE).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        served_costs.read(tmp_path)
