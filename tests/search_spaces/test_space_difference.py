"""Two spaces compared, or one with itself of last week: a line a person can read for each parameter."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.rows import Row, difference, fingerprint

OPTIMIZER = Row("optimizer", CategoricalDistribution(("adam", "momentum")))
RATE = Row("adam.rate", FloatDistribution(1e-4, 1e-2, log=True), (("optimizer", ("adam",)),))
PATCHES = Row("patches", IntDistribution(1, 10))


def test_a_space_does_not_differ_from_itself_in_any_order():
    assert difference([OPTIMIZER, RATE, PATCHES], [PATCHES, RATE, OPTIMIZER]) == []
    assert fingerprint([OPTIMIZER, RATE, PATCHES]) == fingerprint([PATCHES, RATE, OPTIMIZER])


def test_what_came_went_and_changed_is_told_with_values_and_conditions():
    wider = Row("adam.rate", FloatDistribution(1e-5, 1e-2, log=True), RATE.when)
    flip = Row("flip", CategoricalDistribution((False, True)))
    assert difference([OPTIMIZER, RATE, PATCHES], [OPTIMIZER, wider, flip]) == [
        "- patches: 1 to 10 (whole)",
        "~ adam.rate: 0.0001 to 0.01 (log) when optimizer is adam"
        " → 1e-05 to 0.01 (log) when optimizer is adam",
        "+ flip: off, on (choice)",
    ]


def test_a_changed_condition_alone_is_a_difference_and_another_hash():
    always = Row("adam.rate", RATE.distribution)
    assert fingerprint([OPTIMIZER, always]) != fingerprint([OPTIMIZER, RATE])
    assert difference([OPTIMIZER, always], [OPTIMIZER, RATE]) == [
        "~ adam.rate: 0.0001 to 0.01 (log) → 0.0001 to 0.01 (log) when optimizer is adam"
    ]


def test_the_hash_is_pinned_so_that_stored_studies_stay_valid():
    assert fingerprint([OPTIMIZER, RATE, PATCHES]) == "1e82eaaff8fb"
