"""The MLflow store: its default address, clients for it, and the names of the tags on its runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from filelock import FileLock

from trainers.errors import UserError

# names of tags in users' stores: never change them
STUDY, STUDY_ID, TRIAL = "tuning.study", "tuning.study_id", "tuning.trial"
VERDICT, REASON = "verdict", "verdict.reason"
MANIFEST, SUGGESTED = "tuning.manifest", "tuning.suggested"  # JSON, which --warm-start reads
RECIPE_FILE = "recipe.yaml"
# tags of a trial's run, after "data."
DATA = ("name", "source", "given", "fingerprint", "subset", "format", "group_by")


def check_uri(text: str) -> str:
    """The address of a store, without secrets. Raises UserError if it has a password: it is written into each run."""
    try:
        found = urlsplit(text)
        secret = found.password is not None or "password" in parse_qs(found.query, keep_blank_values=True)
    except ValueError as error:
        raise UserError(f"--tracking-uri: is not an address ({error})") from None
    if not secret:
        return text
    shown = f"{found.scheme}://...@{found.netloc.rpartition('@')[2]}{found.path}"
    instead = "leave it to the database's own file of passwords"
    if found.scheme in ("http", "https"):
        instead = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    elif found.scheme.startswith("postgres"):
        instead = "set PGPASSWORD, or write it into ~/.pgpass"
    raise UserError(
        f"--tracking-uri {shown}: a password there is written into every run and export; {instead}"
    )


def default_uri(studies: Path) -> str:
    """The URI of `mlflow.db`, an SQLite file in the studies folder."""
    return f"sqlite:///{studies.absolute() / 'mlflow.db'}"


def file_of(uri: str) -> Path | None:
    """The file of an SQLite URI; None for any other URI."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def client(uri: str) -> Any:
    """An MlflowClient without log output and with short timeouts. Creates the database of an SQLite URI if needed.

    Raises UserError when the server at `uri` runs another major version of MLflow.
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
    """A client for an existing store. Errors of MLflow within the block become a UserError of one line."""
    path = file_of(uri)
    if path is not None and not path.is_file():  # `client` would create it
        raise UserError(f"{path}: there is no MLflow database; give --tracking-uri")
    from mlflow.exceptions import MlflowException

    try:
        yield client(uri)
    except MlflowException as error:
        raise UserError(f"MLflow at {uri}: {' '.join(str(error).split())[:200]}") from None


def allowed_name(name: str) -> str:
    """A metric's or tag's name with the characters that MLflow rejects replaced; class names may contain any."""
    return re.sub(r"[^\w\-./ :]", "_", name)


def data_of_run(run: Any) -> dict[str, Any] | None:
    """What a trial's run says of its data, as in Manifest.data; None if it says nothing."""
    data = {name: run.data.tags.get(f"data.{name}") for name in DATA}
    if data["fingerprint"] is None:
        return None
    return data | {"subset": float(data["subset"] or 1.0)}


def _make(path: Path) -> None:
    """Create a database with MLflow's tables, atomically.

    MLflow creates them in many steps, and cannot open a database whose creation was killed half-way.
    """
    stores: Any = importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():  # another process created it meanwhile
            return
        for left in path.parent.glob(f".{path.name}.*/"):  # by a killed process
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
            f"{uri}: the server runs MLflow {theirs[:20]}, this program {ours}; use a server of the same major version"
        )
