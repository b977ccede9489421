"""A packed trial reads as the trial that it was made of, in a fraction of its memory."""

from __future__ import annotations

import copy

import pytest
from optuna.trial import FrozenTrial
from searches import CONDITIONS, OBJECTIVE, SPACE, run_here, search_of

from tuning.search.space_adapter import SpaceAdapter
from tuning.study import reading, trial_record
from tuning.study.storage.packing import PackedTrial


@pytest.fixture
def study(open_study):
    study = open_study()
    run_here(search_of(study, 8))
    return study


def test_an_ended_trial_is_packed_and_reads_as_optunas_own(study):
    plain = reading.read(str(study.folder), study.folder.parent).trials
    for packed, trial in zip(study.trials(), plain, strict=True):
        assert isinstance(packed, PackedTrial)
        assert isinstance(packed, FrozenTrial)
        assert not isinstance(trial, PackedTrial)
        for name in (
            "number", "state", "value", "values", "params", "distributions", "user_attrs", "intermediate_values",
            "datetime_start", "datetime_complete", "last_step", "system_attrs",
        ):  # fmt: skip
            assert getattr(packed, name) == getattr(trial, name), name
        assert trial_record.of(packed, OBJECTIVE) == trial_record.of(trial, OBJECTIVE)


def test_a_packed_trial_holds_nothing_heavy(study):
    for trial in study.trials():
        assert len(trial._packed) < 2500
        assert not {"_params", "_distributions", "_user_attrs", "intermediate_values"} & vars(trial).keys()


def test_a_copy_of_a_packed_trial_can_be_changed_and_leaves_it_as_it_was(study):
    packed = study.trials()[0]
    copied = copy.copy(packed)
    copied.params = {}
    assert copied.params == {}
    assert packed.params != {}
    with pytest.raises(AttributeError):
        _ = packed.nothing
    told = SpaceAdapter(SPACE, CONDITIONS).adapt(packed)
    assert told is not None
    assert told.params == packed.params


def test_a_trial_is_packed_when_its_study_is_opened_too_and_one_that_goes_on_is_not(study, open_study):
    search = search_of(study, 9)
    search.propose()
    search.interrupt()
    again = open_study()
    assert [isinstance(trial, PackedTrial) for trial in again.trials()] == [True] * 8 + [False]
    run_here(search_of(again, 9))
    assert isinstance(again.trials()[8], PackedTrial)
