"""An address of MLflow with a password is refused: it would be written into every run, note and export."""

from __future__ import annotations

import pytest

from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.tracking.store import check_uri
from tuning.train import main as train


@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("https://me:secret@mlflow.example:5000/x", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ("postgresql://me:secret@host/mlflow", "PGPASSWORD, or write it into ~/.pgpass"),
        ("postgresql+psycopg2://me@host/mlflow?password=secret", "PGPASSWORD, or write it into ~/.pgpass"),
        ("mysql://me:secret@host/mlflow", "the database's own file of passwords"),
    ],
)
def test_an_address_with_a_password_is_refused_without_showing_it(uri, instead):
    with pytest.raises(UserError) as error:
        Settings(space="mobilenet", tracking_uri=uri)
    assert instead in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "uri", ["http://mlflow:5000", "https://me@mlflow", "sqlite:////a/mlflow.db", "postgresql://me@host/mlflow", "mlruns"]
)  # fmt: skip
def test_an_address_without_a_password_is_taken(uri):
    assert check_uri(uri) == uri


def test_training_refuses_one_before_it_begins(tmp_path, capsys):
    uri = "http://me:secret@mlflow"
    assert train(["--run", "abc", "--tracking-uri", uri, "--studies-dir", str(tmp_path)]) == 2
    assert "MLFLOW_TRACKING_PASSWORD" in capsys.readouterr().err
