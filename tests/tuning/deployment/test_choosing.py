"""`tuning.promote --choose`: the fastest of the trials that are nearly as good as the best."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from searches import CONDITIONS, about, context, run_here

import search_spaces
from trainers.errors import UserError
from trainers.recipe import architecture
from tuning.api.deployment import choosing
from tuning.api.deployment.architectures import architectures
from tuning.api.deployment.measuring import Timed
from tuning.promote import main
from tuning.search import sampler as samplers
from tuning.search.constraints.served_costs import NO_COSTS, ServedCosts
from tuning.search.schedulers.full_training import FullTraining
from tuning.search.search import Search
from tuning.study import reading
from tuning.study import trial_record as records
from tuning.study.reading import StudyRead
from tuning.study.study import Study

ALL = search_spaces.get("all")
MILLISECONDS = dict(zip(ALL.models, (60.0, 12.0, 40.0), strict=True))


def street(folder: Path, measured: bool = True) -> StudyRead:
    """A finished study of several detectors."""
    rows = [each.architecture for each in architectures(ALL, CONDITIONS)]
    known = [
        dataclasses.replace(row, costs={"latency_ms": MILLISECONDS[row.fields["model"]], "megabytes": 9.0})
        for row in rows
    ]
    costs = ServedCosts(known) if measured else NO_COSTS
    study = Study.open(folder / "street", about(space="all"))
    sampler = samplers.make("random", context(ALL))
    run_here(Search(study, sampler, FullTraining((10, 30, 90)), 6, ALL.seeds(CONDITIONS), costs=costs))
    study.close()
    return reading.read("street", folder)


def test_within_nothing_the_best_trial_is_chosen_and_within_everything_the_best_of_the_fastest(tmp_path):
    study, said = street(tmp_path), []
    ranked = records.ranking(study.records)
    assert choosing.cheapest(study, "latency_ms", 0.0, None, said.append).number == ranked[0].number
    chosen = choosing.cheapest(study, "latency_ms", 9.0, None, said.append)
    fastest = min(MILLISECONDS, key=MILLISECONDS.__getitem__)
    assert chosen == next(record for record in ranked if record.model == fastest)
    assert any("latency_ms 12" in line for line in said)
    # all are of one size, so that the best is the smallest
    assert choosing.cheapest(study, "megabytes", 9.0, None, said.append).number == ranked[0].number


def test_without_measured_costs_the_exports_of_each_network_are_measured(tmp_path, monkeypatch):
    study, asked = street(tmp_path, measured=False), []

    def export_trial(trial: Path, *_: object, **__: object) -> Path:
        asked.append(int(trial.name))
        return trial

    def latency_of(exports: list[Path], backend: str) -> list[Timed]:
        models = [study.record(int(export.name)).model for export in exports]
        return [Timed({"latency_ms": MILLISECONDS[model], "megabytes": 9.0}, 0.4) for model in models]

    monkeypatch.setattr(choosing, "export_trial", export_trial)
    monkeypatch.setattr(choosing.measuring, "latency_of", latency_of)
    lines: list[str] = []
    chosen = choosing.cheapest(study, "latency_ms", 9.0, None, lines.append)
    assert MILLISECONDS[chosen.model] == min(MILLISECONDS.values())
    busy = "(too high: other programs used 40% of its CPUs meanwhile)"  # said of each, since the machine was not alone
    assert sum(line.endswith(busy) for line in lines) == len(ALL.models)
    networks = [str(architecture(study.record(number).recipe)) for number in asked]
    assert len(set(networks)) == len(networks) == len(ALL.models)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("best-within", "0.1"), "unknown rule; known are fastest-within, smallest-within"),
        (("fastest-within", "a bit"), "give by how much the objective may be worse, such as 0.01"),
        (("fastest-within", "-1"), "give by how much the objective may be worse"),
        (("fastest-within", "nan"), "give by how much the objective may be worse"),
    ],
)
def test_a_wrong_rule_is_refused(words, message):
    with pytest.raises(UserError) as error:
        choosing.parse(*words)
    assert message in str(error.value)


def test_a_rule_and_a_trial_contradict_each_other(tmp_path, capsys):
    words = ["street", "--studies-dir", str(tmp_path), "--choose", "fastest-within", "0.1", "--trial", "1"]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: --choose chooses the trial; leave out --trial\n"
