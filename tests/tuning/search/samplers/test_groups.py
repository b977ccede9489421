from __future__ import annotations

import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from tuning.search.samplers.groups import GroupedTPE

UNIT = FloatDistribution(0, 1)


def study_of(trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study


def completed(value: float, **params: float | str) -> FrozenTrial:
    kinds = {name: CategoricalDistribution(("a", "b")) if name == "kind" else UNIT for name in params}
    return create_trial(value=value, params=params, distributions=kinds)


def test_without_conditional_parameters_it_proposes_what_optunas_own_sampler_does():
    rng = np.random.default_rng(0)
    trials = [completed(x - y, x=x, y=y) for x, y in rng.random((20, 2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        own = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=5)
    asked = [study_of(trials, each).ask() for each in (own, GroupedTPE(trials, seed=5))]
    theirs, ours = ([trial.suggest_float(name, 0, 1) for name in ("x", "y")] for trial in asked)
    assert ours == theirs


@pytest.fixture(scope="module")
def on_the_diagonal() -> list[FrozenTrial]:
    """Those of kind a have x and y, and are good where the two are equal; those of kind b have z."""
    rng, trials = np.random.default_rng(0), [completed(0.0, kind="b", z=0.5)]
    for x in np.linspace(0, 1, 15):
        trials.append(completed(1.0, kind="a", x=x, y=x))
    for x, y in rng.random((120, 2)):
        trials.append(completed(-abs(x - y), kind="a", x=x, y=y))
    return trials


def test_the_parameters_of_a_branch_are_sampled_jointly(on_the_diagonal):
    apart = []
    for seed in range(12):
        trial = study_of(on_the_diagonal, GroupedTPE(on_the_diagonal, seed=seed)).ask()
        apart.append(abs(trial.suggest_float("x", 0, 1) - trial.suggest_float("y", 0, 1)))
    assert np.mean(apart) < 0.2  # by chance a third


def test_a_branch_that_a_trial_does_not_ask_for_is_not_modelled(on_the_diagonal, monkeypatch):
    modelled = []
    sample = GroupedTPE.sample_relative

    def noting(self, study, trial, search_space):
        if search_space:
            modelled.append(set(search_space))
        return sample(self, study, trial, search_space)

    monkeypatch.setattr(GroupedTPE, "sample_relative", noting)
    trial = study_of(on_the_diagonal, GroupedTPE(on_the_diagonal, seed=1)).ask()
    trial.suggest_categorical("kind", ("a", "b"))
    trial.suggest_float("x", 0, 1)
    trial.suggest_float("y", 0, 1)
    assert modelled == [{"kind"}, {"x", "y"}]


def test_a_parameter_that_no_trial_has_had_is_sampled_on_its_own(on_the_diagonal):
    trial = study_of(on_the_diagonal, GroupedTPE(on_the_diagonal, seed=1)).ask()
    assert 2 <= trial.suggest_float("w", 2, 3) <= 3
    assert 4 <= trial.suggest_float("x", 4, 5) <= 5  # its range has changed
