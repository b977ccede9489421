"""Tracking: tells MLflow of a study, on a thread of its own, from what is on disk. It cannot slow or break a search.

A study is a run, each trial a child run for its whole life. What MLflow was told is noted in `mlflow.json` beside what
is to be told (the trial's curve, and its record in Optuna's storage), so that a server that is away, or a driver that
is killed, costs nothing: the next run of the study goes on telling. What is told twice is the same to the
millisecond, and MLflow keeps it once.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.files import write_text
from tuning import curves
from tuning import record as records
from tuning.curves import CurveFile
from tuning.observer import Observer
from tuning.record import Rung, TrialRecord
from tuning.result import StepResult
from tuning.study import Study

STUDY, TRIAL, VERDICT, REASON = "tuning.study", "tuning.trial", "verdict", "verdict.reason"
MANIFEST, SUGGESTED = "tuning.manifest", "tuning.suggested"  # as JSON: a later study may start from them
# MLflow's own words for how a run ended; the verdict is in the tag
STATUS = {"completed": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
BATCH = 1000  # the most metrics that MLflow takes at once
RETRY_SECONDS = 5.0
ANSWER_SECONDS = 30.0  # for an answer that is under way


def default_uri(studies: Path) -> str:
    """An SQLite file beside the studies."""
    return f"sqlite:///{studies.absolute() / 'mlflow.db'}"


class Tracking(Observer):
    """Follows a study; `start` begins telling MLflow at `uri`, `close` waits until all is told, or says what is not."""

    def __init__(self, study: Study, uri: str, artifacts: Path | None, max_steps: int) -> None:
        self.uri = uri
        self._problem: str | None = None
        self._study = study
        self._artifacts = artifacts
        self._max_steps = max_steps
        self._curves: dict[int, CurveFile] = {}
        self._due: dict[int, None] = {}  # trials with something to tell, in order
        self._fresh: set[int] = set()  # those of them with news since the last attempt
        self._closing: float | None = None  # when to give up
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._tell_all, name="tracking", daemon=True)
        self._teller: _Teller | None = None

    def start(self) -> None:
        """Begin with what earlier runs of the study could not tell."""
        for record in self._study.records():
            if record.recipe and not _told_all(self._study.trial_folder(record.number), record, self.uri):
                self._due[record.number] = None
        self._thread.start()

    def began(self, record: TrialRecord) -> None:
        """A trial was given to a worker."""
        self._news(record.number)

    def progressed(self, result: StepResult) -> None:
        """Keep the chunk's losses."""
        if result.trial not in self._curves:
            path = self._study.trial_folder(result.trial) / "metrics.jsonl"
            self._curves[result.trial] = CurveFile(path, self._max_steps)
        if self._curves[result.trial].append(result):
            self._news(result.trial)

    def reached(self, record: TrialRecord, rung: Rung) -> None:
        """A rung was measured."""
        self._news(record.number)

    def ended(self, record: TrialRecord) -> None:
        """A trial has its verdict."""
        self._curves.pop(record.number, None)
        self._news(record.number)

    def close(self, patience: float = 60.0) -> str | None:
        """Wait until all is told, at most `patience` seconds without headway; a phrase on what is not, and why."""
        with self._changed:
            self._closing = time.monotonic() + patience
            self._changed.notify()
        self._thread.join(patience + ANSWER_SECONDS)
        if self._thread.is_alive():
            self._problem = self._problem or f"no answer for {patience + ANSWER_SECONDS:.0f} s"
        untold = f"{len(self._due)} trials" if self._due else "how the study ended"
        return f"{untold} ({self._problem})" if self._problem else None

    def _news(self, number: int) -> None:
        with self._changed:
            self._due[number] = None
            self._fresh.add(number)
            self._changed.notify()

    def _tell_all(self) -> None:
        while True:
            with self._changed:
                while not self._due and self._closing is None:
                    self._changed.wait()
                number = next(iter(self._due), None)
                if number is None:
                    break
                self._fresh.discard(number)
            try:
                self._told(number)
                with self._changed:
                    if number not in self._fresh:  # no news since
                        del self._due[number]
            except Exception as error:
                self._problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                logging.getLogger(__name__).info("MLflow was not told of trial %s", number, exc_info=True)
                with self._changed:
                    self._due[number] = self._due.pop(number)  # the others first
                    if self._closing is not None and time.monotonic() > self._closing:
                        return
                    self._changed.wait(RETRY_SECONDS if self._closing is None else 0.5)
        try:
            if self._teller is not None:
                self._teller.end_study()
        except Exception as error:  # noqa: BLE001 - as above
            self._problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]

    def _told(self, number: int) -> None:
        if self._teller is None:
            self._teller = _Teller(self._study, self.uri, self._artifacts)
        self._teller.tell(number)
        self._problem = None
        if self._closing is not None:
            self._closing = max(self._closing, time.monotonic() + RETRY_SECONDS)


def client(uri: str) -> Any:
    """An MlflowClient that says nothing and does not try for ever."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)


class _Teller:
    """The conversation with one MLflow store."""

    def __init__(self, study: Study, uri: str, artifacts: Path | None) -> None:
        self._study = study
        self._uri = uri
        self._client = client(uri)
        self._experiment = self._find_or_create_experiment(artifacts)
        self._parent = self._find_or_create_parent()
        earlier = study.records()
        self._best: TrialRecord | None = records.best(earlier)
        # perhaps begun by a driver that was killed before it could note so
        self._unsure = {record.number for record in earlier}

    def tell(self, number: int) -> None:
        """Bring the trial's run up to date."""
        record = self._study.record(number)
        folder = self._study.trial_folder(number)
        note = _read_note(folder, self._uri)
        run = note.get("run") or self._begin_run(record, folder)
        note["run"] = run
        if note.get("told") and record.verdict is None:  # an interrupted trial goes on
            self._client.update_run(run, status="RUNNING")
            note["told"] = None
        self._tell_config(run, folder, note)
        self._tell_metrics(run, record, folder, note)
        if record.verdict is not None:
            self._tell_verdict(run, record)
            self._tell_best(record)
            note["told"] = record.verdict.to_dict()
        _write_note(folder, note)

    def end_study(self) -> None:
        """Bring the study's own run up to date."""
        trials = self._study.records()
        for state in STATUS:
            count = sum(trial.verdict is not None and trial.verdict.state == state for trial in trials)
            self._client.set_tag(self._parent, f"trials.{state}", str(count))
        running = any(trial.state == "interrupted" for trial in trials)
        self._client.set_terminated(self._parent, "KILLED" if running else "FINISHED")

    def _find_or_create_experiment(self, artifacts: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        known = self._client.get_experiment_by_name(self._study.name)
        if known is None:
            location = artifacts.absolute().as_uri() if artifacts else None
            try:
                return str(self._client.create_experiment(self._study.name, artifact_location=location))
            except MlflowException:  # another study of this name was quicker
                known = self._client.get_experiment_by_name(self._study.name)
                if known is None:
                    raise
        if known.lifecycle_stage != "active":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _find_or_create_parent(self) -> str:
        about = self._study.manifest
        path = self._study.folder / "mlflow.json"
        note = _read_note(self._study.folder, self._uri)
        run = note.get("run") or self._find({STUDY: str(self._study.folder.absolute())})
        if run:
            self._client.update_run(run, status="RUNNING")
        else:
            tags = {STUDY: str(self._study.folder.absolute()), "mlflow.runName": about.study}
            tags[MANIFEST] = json.dumps(about.in_short())
            run = self._client.create_run(self._experiment, tags=tags).info.run_id
            plain = about.to_dict() | {"versions": None, "data": None, "space_rows": None}
            params = {name: value for name, value in plain.items() if value is not None}
            params |= {f"data.{name}": about.data[name] for name in ("name", "source", "fingerprint")}
            self._log_params(run, params)
            for name, version in about.versions.items():
                self._client.set_tag(run, f"version.{name}", version)
        write_text(path, json.dumps({"uri": self._uri, "experiment": self._experiment, "run": run}))
        return str(run)

    def _begin_run(self, record: TrialRecord, folder: Path) -> str:
        own = {"mlflow.parentRunId": self._parent, TRIAL: str(record.number)}
        run = self._find(own) if record.number in self._unsure else None
        self._unsure.add(record.number)
        if run is None:
            tags = own | {"mlflow.runName": f"trial {record.number}", "recipe_id": record.recipe_id}
            tags |= {f"provenance.{name}": value for name, value in record.provenance.items()}
            tags[SUGGESTED] = json.dumps(self._study.trial(record.number).params)
            run = self._client.create_run(self._experiment, tags=tags).info.run_id
        _write_note(folder, {"uri": self._uri, "run": run})
        self._log_params(run, flat(record.recipe))
        self._client.log_artifact(run, str(folder / "recipe.yaml"))
        return str(run)

    def _find(self, tags: Mapping[str, str]) -> str | None:
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _log_params(self, run: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run, params=[Param(name, str(value)[:6000]) for name, value in params.items()])

    def _tell_config(self, run: str, folder: Path, note: dict[str, Any]) -> None:
        config = folder / "pipeline.config"
        if not note.get("config") and config.exists():
            self._client.log_artifact(run, str(config))
            note["config"] = True

    def _tell_metrics(self, run: str, record: TrialRecord, folder: Path, note: dict[str, Any]) -> None:
        points: list[tuple[str, float, int, int]] = []
        offset, rung_step = note.get("offset", 0), note.get("rung", 0)
        for after, line in curves.read(folder / "metrics.jsonl", offset):
            offset = after
            points += [(name, value, line["time"], line["step"]) for name, value in line["metrics"].items()]
        for rung in record.rungs:
            if rung.step > rung_step:
                rung_step = rung.step
                spent = {
                    "seconds": rung.seconds,
                    "seconds_training": rung.seconds_training,
                    "rung": rung.step,
                }
                when = int(rung.time * 1000)
                points += [
                    (name, value, when, rung.step) for name, value in {**rung.metrics, **spent}.items()
                ]
        self._log_metrics(run, points)
        note["offset"], note["rung"] = offset, rung_step

    def _log_metrics(self, run: str, points: list[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(_allowed(name), value, when, step) for name, value, when, step in points]
        for i in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[i : i + BATCH])

    def _tell_verdict(self, run: str, record: TrialRecord) -> None:
        from mlflow.entities import RunTag

        assert record.verdict is not None
        tags = {
            VERDICT: record.verdict.state,
            REASON: record.verdict.reason,
            "seconds_training": f"{record.seconds_training:.1f}",
            "seconds_overhead": f"{record.seconds_overhead:.1f}",
        }
        self._client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.set_terminated(run, STATUS[record.verdict.state])

    def _tell_best(self, record: TrialRecord) -> None:
        self._best = records.best([record, *([self._best] if self._best else [])])
        if self._best is record and record.mAP is not None:
            when = int(record.rungs[-1].time * 1000)
            self._client.log_metric(self._parent, "mAP", record.mAP, timestamp=when, step=record.number)
            self._client.set_tag(self._parent, "best_trial", str(record.number))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one level: `schedule.base`, `augmentations` as their names and options."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            for i, item in enumerate(value):
                found |= flat({f"{name}.{item.get('name', i)}": item.get("options", item)}, prefix)
        else:
            found[f"{prefix}{name}"] = value
    return found


def _allowed(name: str) -> str:
    """A metric's name with only what MLflow takes: a class may be called anything."""
    return re.sub(r"[^\w\-./ :]", "_", name)


def _read_note(folder: Path, uri: str) -> dict[str, Any]:
    """What was told to the store at `uri`; nothing, if the note is of another store."""
    try:
        note = json.loads((folder / "mlflow.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"uri": uri}
    return note if note.get("uri") == uri else {"uri": uri}


def _write_note(folder: Path, note: Mapping[str, Any]) -> None:
    write_text(folder / "mlflow.json", json.dumps(note))


def _told_all(folder: Path, record: TrialRecord, uri: str) -> bool:
    told = _read_note(folder, uri).get("told")
    return record.verdict is not None and told == record.verdict.to_dict()
