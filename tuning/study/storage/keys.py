"""The keys of a study in an object store: what is a checkpoint, what is uploaded whole, who writes which file.

<study>/lease.json, study.json, optuna.journal, ...         the driver's (stored.py)
<study>/trials/<number>/recipe.yaml, metrics.jsonl, ...     the driver's; the other small files are the worker's
<study>/trials/<number>/checkpoint-<step>.json, export.json, pictures.json     folders (tuning.stores.folders)
data/<fingerprint>.json                                     the records
"""

from __future__ import annotations

import re

from tuning.stores import lease
from tuning.stores.store import Store
from tuning.study.trial_folder import CHECKPOINT, PICTURES, RECIPE

JOURNAL = "optuna.journal"
FILES = ("study.json", "split.csv", "spending.json", "mlflow.json", "summary.json")
TRIAL_FILES = (RECIPE, "metrics.jsonl", "mlflow.json")  # that the driver writes
UPLOADED = "uploaded.json"  # of a trial: {"step": ...} up to which the worker has uploaded its small files
STUDY_ID = ".study"  # of a trial, on the machine that trains it: the id of its study; not uploaded
EXPORT = "export"
WHOLE = (EXPORT, PICTURES)  # folders of a trial that are uploaded whole, besides checkpoints


def checkpoints(store: Store, prefix: str, number: int) -> list[tuple[int, str]]:
    """(step, key) of the trial's complete checkpoints in a store, rising. prefix: of the study's keys."""
    found = []
    for entry in store.entries(f"{prefix}trials/{number}/{CHECKPOINT}"):
        if match := re.fullmatch(rf"(.*/{CHECKPOINT}(\d+))\.json", entry.key):
            found.append((int(match[2]), match[1]))
    return sorted(found)


def checkpointed(name: str) -> int | None:
    """The number of the trial of whose checkpoint `name`, without the study's prefix, is the manifest."""
    found = re.fullmatch(rf"trials/(\d+)/{CHECKPOINT}\d+\.json", name)
    return int(found[1]) if found else None


def is_small(name: str) -> bool:
    """Whether `name`, without the study's prefix, is a file of its own: of no folder that is uploaded whole."""
    parts = name.split("/")
    whole = len(parts) > 2 and (parts[2].startswith(CHECKPOINT) or parts[2].split(".")[0] in WHOLE)
    return not whole and name != lease.KEY


def trial_of(name: str) -> int | None:
    """The number of the trial whose file `name`, without the study's prefix, is."""
    found = re.match(r"trials/(\d+)/", name)
    return int(found[1]) if found else None
