"""Published weights reach a machine without a network through the studies' store, once, and as they were published."""

from __future__ import annotations

import pytest
from zoo_server import ARCHIVE, NAME, write_archive
from zoo_variables import published_variables

from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api.initial_weights import Resolved
from tuning.stores import weights as stored_weights
from tuning.stores.weights import published


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Go on as the machine of this name, with a cache of its own; it reaches the zoo's archive if it is told where."""

    def go(name: str, mirror: str = "/no/such/zoo") -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
        monkeypatch.setenv("DETECTOR_ZOO_URL", mirror)

    return go


@pytest.mark.slow
def test_a_machine_without_a_network_gets_the_weights_from_the_store_once(s3_store, machine, tmp_path):
    write_archive(tmp_path / "made.tar.gz", published_variables(NAME)).rename(tmp_path / f"{ARCHIVE}.tar.gz")
    machine("driver", str(tmp_path))
    published(NAME).fetch()
    said: list[str] = []
    uploaded = stored_weights.upload((NAME, "fcn"), s3_store, said.append)
    assert uploaded == {NAME: published(NAME).sha256}
    assert stored_weights.upload((NAME,), s3_store, said.append) == uploaded
    assert said == [
        f"uploading the weights of {NAME} to {s3_store.uri}/weights/{ARCHIVE}.{uploaded[NAME][:12]}"
    ]

    machine("worker")
    stored_weights.fetch(uploaded, s3_store)
    weights = published(NAME)
    weights.verify()
    assert weights.sha256 == uploaded[NAME]
    s3_store.delete(entry.key for entry in s3_store.entries("weights/"))
    stored_weights.fetch(uploaded, s3_store)  # this machine has them

    machine("late worker")
    with pytest.raises(UserError, match="the weights are not in the store"):
        stored_weights.fetch(uploaded, s3_store)
    assert not published(NAME).folder.exists()

    machine("other archive")
    published(NAME).folder.parent.mkdir(parents=True)
    (published(NAME).folder.parent / f"{ARCHIVE}.sha256").write_text("0" * 64)
    machine("driver", str(tmp_path))
    stored_weights.upload((NAME,), s3_store)
    machine("other archive")
    with pytest.raises(UserError, match=f"has the SHA-256 {uploaded[NAME]}, and had {'0' * 64} at first"):
        stored_weights.fetch(uploaded, s3_store)
    assert not published(NAME).folder.exists()


@pytest.mark.parametrize(
    ("weights", "uploaded"),
    [
        (None, True),
        (InitialWeights(source="zoo"), True),
        (InitialWeights(source="none"), False),
        (InitialWeights(source="/a/checkpoint"), False),
    ],
)
def test_they_are_uploaded_where_trials_start_from_them(weights, uploaded):
    assert Resolved(weights, []).published == uploaded
