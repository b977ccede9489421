"""MLflowWriter: at-least-once, idempotent writes of one study to one MLflow store.

The study is a run, and each trial is a child run of it, the same one after every resume. What was written is noted in
`mlflow.json` beside the trial's files (notes.py).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.objective import Objective
from tuning.execution import environment
from tuning.execution.environment import Share
from tuning.study import curves, manifest
from tuning.study import trial_record as records
from tuning.study.manifest import Manifest
from tuning.study.trial_folder import FILES, PICTURES
from tuning.study.trial_record import TrialRecord
from tuning.tracking import descriptions, moved_store, views
from tuning.tracking.identity import FOLDER, PARENT, StudyRuns
from tuning.tracking.notes import read_note, write_note
from tuning.tracking.run_inputs import dataset_input, flat
from tuning.tracking.store import (
    DATA,
    MANIFEST,
    REASON,
    RECIPE_FILE,
    STUDY,
    SUGGESTED,
    TRIAL,
    VERDICT,
    allowed_name,
    client,
    file_of,
)
from tuning.tracking.views import View

# MLflow's run status for each verdict; the verdict itself is a tag. A trial that waits for the search to go on is no
# failure, as which MLflow's page shows KILLED
STATUS = {"completed": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "SCHEDULED"}
BATCH = 1000  # MLflow's limit of metrics per request
LONGEST_TAG = 8000  # characters
COMMAND = "command"
SOURCE = {"mlflow.source.name": "tuning", "mlflow.source.type": "LOCAL"}


@dataclass(frozen=True)
class WriterSettings:
    """What a MLflowWriter logs, and where.

    about, folder: the study's manifest and its folder. objective: what it optimises. uri: the MLflow store.
    views: of the study's experiment (tuning.tracking.views). They and the objective are made by the driver, since the
    task may be registered in a module that only the driver has imported.
    artifacts: folder for MLflow's artifacts; None to let the server choose.
    share: a trial's share of a machine. command: the command of this run, "" when none started it.
    """

    about: Manifest
    folder: Path
    objective: Objective
    views: Sequence[View]
    uri: str
    artifacts: Path | None
    share: Share
    command: str


class MLflowWriter:
    """Logs one study. earlier_trials: the study's trials when the writer is made.

    Making it finds or creates the experiment and the study's run; every method may raise what MLflow's client raises.
    """

    def __init__(self, settings: WriterSettings, earlier_trials: Iterable[TrialRecord]) -> None:
        self._about = settings.about
        self._folder = settings.folder
        self._uri = settings.uri
        self._share = settings.share
        self._software = {f"version.{name}": version for name, version in manifest.versions().items()}
        self._software |= environment.code()
        database = file_of(settings.uri)
        if database is not None and database.exists() and settings.artifacts is not None:
            moved_store.follow(database, self._about.study, settings.artifacts)
        self._client = client(settings.uri)
        self._experiment = self._find_or_create_experiment(settings.artifacts)
        self._objective = settings.objective
        views.save(self._client, self._experiment, settings.views)
        self._runs = StudyRuns(self._client, self._experiment, self._about.id)
        self._parent = self._find_or_create_parent(settings.command)
        earlier_trials = list(earlier_trials)
        self._ended = {r.number: r for r in earlier_trials if r.verdict is not None and r.verdict.final}
        self._best = records.best(self._ended.values())
        # trials whose run may exist although it is not noted: the driver was killed in between
        self._maybe_begun = {record.number for record in earlier_trials}

    def log_trial(self, record: TrialRecord, suggested: Mapping[str, Any], folder: Path) -> None:
        """Bring a trial's run up to date. suggested: the sampler's parameters by name; folder: the trial's files."""
        note = read_note(folder)
        run = self._runs.known(note, self._parent)
        if run is None:
            run, note = self._begin_run(record, suggested, folder), {}
        note |= {"uri": self._uri, "run": run}
        if note.get("told") and record.verdict is None:  # an interrupted trial was resumed
            self._client.update_run(run, status="RUNNING")
            note["told"] = None
        self._log_config(run, folder, note)
        self._log_new_metrics(run, record, folder, note)
        if record.verdict is not None:
            self._log_pictures(run, folder, note)
            self._log_verdict(run, record)
            if record.verdict.final:
                self._log_best(record)
            note["told"] = record.verdict.to_dict()
        write_note(folder, note)

    def end_study(self, trials: Sequence[TrialRecord]) -> None:
        """Bring the study's own run up to date, from all its `trials`."""
        for state in STATUS:
            count = sum(trial.verdict is not None and trial.verdict.state == state for trial in trials)
            self._client.set_tag(self._parent, f"trials.{state}", str(count))
        about = descriptions.of_study(self._folder, self._objective, trials, self._experiment, self._run_of)
        self._client.set_tag(self._parent, descriptions.NOTE, about)
        self._client.set_experiment_tag(self._experiment, descriptions.NOTE, about)
        self._client.set_terminated(self._parent, "FINISHED")

    def _run_of(self, number: int) -> str | None:
        """The run of a trial; None if it is not logged."""
        return read_note(self._folder / "trials" / str(number), self._uri).get("run")

    def _find_or_create_experiment(self, artifacts: Path | None) -> str:
        from mlflow.exceptions import MlflowException

        known = self._client.get_experiment_by_name(self._about.study)
        if known is None:
            location = artifacts.absolute().as_uri() if artifacts else None
            try:
                return str(self._client.create_experiment(self._about.study, artifact_location=location))
            except MlflowException:  # another process created it meanwhile
                known = self._client.get_experiment_by_name(self._about.study)
                if known is None:
                    raise
        if known.lifecycle_stage != "active":
            self._client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _find_or_create_parent(self, command: str) -> str:
        about = self._about
        folder = str(self._folder.absolute())
        run = self._runs.known(read_note(self._folder)) or self._runs.find({})
        if run:
            self._client.update_run(run, status="RUNNING")
            self._client.set_tag(run, STUDY, folder)
        else:
            tags = {STUDY: folder, "mlflow.runName": about.study}
            facts = json.dumps(about.for_warm_start())
            if len(facts) <= LONGEST_TAG:
                tags[MANIFEST] = facts
            run = self._runs.create(tags)
            self._runs.adopt(run)
        if not self._client.get_run(run).data.params:
            plain = about.to_dict() | {"versions": None, "data": None, "space_rows": None}
            params = {name: value for name, value in plain.items() if value is not None}
            params |= {f"data.{name}": about.data[name] for name in ("name", "source", "fingerprint")}
            self._log_params(run, params)
        self._tag(run, self._software | SOURCE | ({COMMAND: command} if command else {}))
        self._client.log_inputs(run, datasets=[dataset_input(self._about.data)])
        note = {"uri": self._uri, "experiment": self._experiment, "run": run, FOLDER: folder}
        write_note(self._folder, note | {"views": views.VERSION})
        return run

    def _begin_run(self, record: TrialRecord, suggested: Mapping[str, Any], folder: Path) -> str:
        own = {PARENT: self._parent, TRIAL: str(record.number)}
        run = self._runs.find(own) if record.number in self._maybe_begun else None
        self._maybe_begun.add(record.number)
        if run is None:
            tags = own | {"mlflow.runName": f"trial {record.number}", "recipe_id": record.recipe_id}
            tags |= {f"provenance.{name}": value for name, value in record.provenance.items()}
            tags[SUGGESTED] = json.dumps(dict(suggested))
            tags |= self._software | self._data_tags() | SOURCE
            run = self._runs.create(tags)
        self._log_params(run, flat(record.recipe))
        self._client.log_inputs(run, datasets=[dataset_input(self._about.data)])
        self._client.log_artifact(run, str(folder / RECIPE_FILE))
        # noted last: a noted run has its parameters and its recipe
        write_note(folder, {"uri": self._uri, "run": run})
        return run

    def _log_params(self, run: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(run, params=[Param(name, str(value)[:6000]) for name, value in params.items()])

    def _log_config(self, run: str, folder: Path, note: dict[str, Any]) -> None:
        files = _trainer_files(folder)
        if not note.get("config") and files is not None:
            for file in files:
                self._client.log_artifact(run, str(file))
            machine = environment.noted_hardware(folder)  # was written before these files
            tags = {f"hardware.{name}": value for name, value in machine.items()}
            tags |= {"hardware.threads": str(self._share.threads), "hardware.gpus": f"{self._share.gpus:g}"}
            self._tag(run, tags | {COMMAND: self._rerun_command(run)})
            note["config"] = True

    def _log_new_metrics(self, run: str, record: TrialRecord, folder: Path, note: dict[str, Any]) -> None:
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
                measured = {**rung.metrics, self._about.objective: rung.value, **spent}
                points += [(name, value, when, rung.step) for name, value in measured.items()]
        self._log_metrics(run, points)
        note["offset"], note["rung"] = offset, rung_step

    def _log_metrics(self, run: str, points: list[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(allowed_name(name), value, when, step) for name, value, when, step in points]
        for i in range(0, len(metrics), BATCH):
            self._client.log_batch(run, metrics=metrics[i : i + BATCH])

    def _log_verdict(self, run: str, record: TrialRecord) -> None:
        verdict = record.verdict
        assert verdict is not None
        tags = {
            VERDICT: verdict.state,
            REASON: verdict.reason,
            f"{VERDICT}.step": str(verdict.step),
            "seconds": f"{record.spent.seconds:.1f}",
            "seconds_training": f"{record.seconds_training:.1f}",
            "seconds_overhead": f"{record.seconds_overhead:.1f}",
            "gpu_hours": f"{record.spent.gpu_hours(self._share.gpus):.4f}",
        }
        tags[descriptions.NOTE] = descriptions.of_trial(record, self._objective)
        if verdict.cutoff is not None:
            tags[f"{VERDICT}.cutoff"] = f"{verdict.cutoff:.4f}"
        if (cost := self._share.cost(record.spent)) is not None:
            tags["cost"] = f"{cost:.4f}"
        self._tag(run, tags)
        if verdict.final:
            self._client.set_terminated(run, STATUS[verdict.state])
        else:
            self._client.update_run(run, status=STATUS[verdict.state])

    def _log_pictures(self, run: str, folder: Path, note: dict[str, Any]) -> None:
        if not note.get(PICTURES) and (folder / PICTURES).is_dir():
            self._client.log_artifacts(run, str(folder / PICTURES), PICTURES)
            note[PICTURES] = True

    def _data_tags(self) -> dict[str, str]:
        about = self._about.data
        return {f"data.{name}": str(about[name]) for name in DATA if about.get(name) is not None}

    def _rerun_command(self, run: str) -> str:
        words = ["python", "-m", "tuning.train", "--run", run, "--tracking-uri", self._uri]
        words += ["--study", f"again-{run[:8]}", "--threads", str(self._share.threads)]
        words += ["--gpus", f"{self._share.gpus:g}"]
        return shlex.join([*words, *(["--all-data"] if self._about.data.get("all") else [])])

    def _tag(self, run: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])

    def _log_best(self, record: TrialRecord) -> None:
        self._ended[record.number] = record
        among = [record, *([self._best] if self._best else [])]
        best = records.best(among if record.repeats is None else self._ended.values())
        if best is not None and best is not self._best and best.value is not None:
            when, name = int(record.rungs[-1].time * 1000), allowed_name(self._about.objective)
            self._client.log_metric(self._parent, name, best.value, timestamp=when, step=record.number)
            self._client.set_tag(self._parent, "best_trial", str(best.number))
        self._best = best


def _trainer_files(folder: Path) -> list[Path] | None:
    """The files that the trainer wrote for a trial, such as pipeline.config; None before it has written them."""
    try:
        names = json.loads((folder / FILES).read_text(encoding="utf-8"))
    except FileNotFoundError:  # a trial of the first versions, or one that has not been started
        names = ["pipeline.config"] if (folder / "pipeline.config").exists() else None
    return None if names is None else [folder / name for name in names]
