"""The MLflow store that this program tells and reads: where it is, how it is opened, what its runs are tagged with."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainers.errors import UserError

STUDY, TRIAL, VERDICT, REASON = "tuning.study.study", "tuning.trial", "verdict", "verdict.reason"
MANIFEST, SUGGESTED = (
    "tuning.study.manifest",
    "tuning.suggested",
)  # as JSON: a later study may start from them
RECIPE_FILE = "recipe.yaml"
DATA = ("name", "source", "given", "fingerprint", "subset")  # tags of a trial's run, after "data."


def default_uri(studies: Path) -> str:
    """An SQLite file beside the studies."""
    return f"sqlite:///{studies.absolute() / 'mlflow.db'}"


def file_of(uri: str) -> Path | None:
    """The database's file, None where it is no SQLite file."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def client(uri: str) -> Any:
    """An MlflowClient that says nothing and does not try for ever.

    Raises UserError when the server at `uri` is of another major version.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    path = file_of(uri)
    if path is not None and not path.exists():
        _make(path)
    store = MlflowClient(tracking_uri=uri)
    if uri.startswith(("http://", "https://")):
        _check_version(store, uri)
    return store


@contextlib.contextmanager
def opened(uri: str) -> Iterator[Any]:
    """A client to read with; what MLflow raises becomes a UserError of one line."""
    path = file_of(uri)
    if path is not None and not path.is_file():  # `client` would make it
        raise UserError(f"{path}: no MLflow database is there; give --tracking-uri")
    from mlflow.exceptions import MlflowException

    try:
        yield client(uri)
    except MlflowException as error:
        raise UserError(f"MLflow at {uri}: {' '.join(str(error).split())[:200]}") from None


def data_of_run(run: Any) -> dict[str, Any] | None:
    """The account of its data (Manifest.data) that a trial's run holds, None if it does not."""
    data = {name: run.data.tags.get(f"data.{name}") for name in DATA}
    if data["fingerprint"] is None:
        return None
    return data | {"subset": float(data["subset"] or 1.0)}


def _make(path: Path) -> None:
    """Make a database with MLflow's tables, whole or not at all.

    MLflow makes them in many steps, and never opens one again that was killed between two of them.
    """
    stores: Any = importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():  # another search was first
            return
        for left in path.parent.glob(f".{path.name}.*/"):  # by one that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            new = Path(folder) / path.name
            store = stores.SqlAlchemyStore(f"sqlite:///{new}", str(path.parent / "mlruns"))
            store.engine.dispose()
            new.replace(path)


def _check_version(store: Any, uri: str) -> None:
    rest: Any = importlib.import_module("mlflow.utils.rest_utils")
    answer = rest.http_request(store._tracking_client.store.get_host_creds(), "/version", "GET")
    theirs, ours = answer.text.strip(), importlib.metadata.version("mlflow")
    if answer.ok and theirs[:1].isdigit() and theirs.split(".")[0] != ours.split(".")[0]:
        raise UserError(
            f"{uri}: is a server of MLflow {theirs[:20]}, and this is {ours}; give one of the same major version"
        )
