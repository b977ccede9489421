"""Which MLflow runs are a study's: found by the study's id, wherever its folder, its store or its name are now.

A run that was deleted in MLflow's UI is restored; one that is gone for good is begun anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from tuning.study import manifest
from tuning.study.study import Study
from tuning.tracking.notes import note_file, read_note
from tuning.tracking.store import STUDY_ID

PARENT = "mlflow.parentRunId"
FOLDER = "folder"  # key of a study's note: where the study was


class StudyRuns:
    """The runs of the study with the id `study_id`, in one experiment of the store behind `client`."""

    def __init__(self, client: Any, experiment: str, study_id: str) -> None:
        self._client = client
        self._experiment = experiment
        self._study_id = study_id
        self._checked: set[str] = set()

    def known(self, note: Mapping[str, Any], parent: str | None = None) -> str | None:
        """The run that a note names, ready to be written to; None if this store has no such run of the study.

        parent: of a trial's run, the study's.
        """
        run = note.get("run")
        if run is None or run in self._checked:
            return run
        found = self._get(run)
        if found is None or found.data.tags.get(STUDY_ID, self._study_id) != self._study_id:
            return None
        if found.info.lifecycle_stage == "deleted":
            self._client.restore_run(run)
        if parent is not None and found.data.tags.get(PARENT) != parent:
            self._client.set_tag(run, PARENT, parent)
        if STUDY_ID not in found.data.tags:  # of a version that had no ids
            self._client.set_tag(run, STUDY_ID, self._study_id)
        self._checked.add(run)
        return str(run)

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The study's run with these tags: it was begun, and a kill came before its note. None if there is none."""
        for found in self._search(tags):
            if PARENT in tags or PARENT not in found.data.tags:  # a trial's run has the study's id too
                return str(found.info.run_id)
        return None

    def adopt(self, parent: str) -> None:
        """Make `parent` the parent of the study's runs: theirs is gone for good."""
        for found in self._search({}):
            if PARENT in found.data.tags:
                self._client.set_tag(found.info.run_id, PARENT, parent)

    def _search(self, tags: Mapping[str, str]) -> Iterator[Any]:
        wanted = {STUDY_ID: self._study_id, **tags}
        text = " and ".join(f"tags.`{name}` = {_quoted(value)}" for name, value in wanted.items())
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs([self._experiment], text, page_token=token or None)
            yield from page
            token = page.token or None

    def create(self, tags: Mapping[str, str]) -> str:
        """A new run of the study."""
        made = self._client.create_run(self._experiment, tags={STUDY_ID: self._study_id, **tags})
        self._checked.add(str(made.info.run_id))
        return str(made.info.run_id)

    def _get(self, run: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(run)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def tell_copy_apart(study: Study, uri: str) -> str | None:
    """Give a copy of a study, whose original is logged to the same store, an id of its own. Returns a message, or None.

    Otherwise both would write to the same runs. A moved study keeps its id.
    """
    note = read_note(study.folder, uri)
    original = Path(note.get(FOLDER, study.folder))
    path = original / manifest.NAME
    if not path.is_file() or original.samefile(study.folder):
        return None
    try:
        same = manifest.read(path).id == study.manifest.id
    except UserError:
        return None
    if not same or read_note(original, uri).get("run") != note.get("run"):
        return None
    study.renew_id()
    for folder in (study.folder, *(study.trial_folder(record.number) for record in study.records())):
        note_file(folder).unlink(missing_ok=True)
    return f"{study.folder} is a copy of {original}; MLflow gets runs of its own"


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"
