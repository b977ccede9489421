"""Submission: what of a command line goes to the cluster, and what the cluster could not do with it."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from trainers.datasets.toy_city import is_toy_city
from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.jobs.cluster_jobs import ClusterJobs, Job
from tuning.stores.location import store_uri

NOT_PATHS = ("auto", "none", "zoo")  # that --weights may be


def check(settings: Settings) -> None:
    """Raise UserError for what the cluster's machines could not find: a file of this machine, a relative path."""
    if store_uri(settings.studies_dir) is None and not settings.studies_dir.is_absolute():
        raise UserError(
            f"--studies-dir {settings.studies_dir}: is a folder of this machine; "
            "give s3://bucket/prefix, or the absolute path of a folder that all machines see"
        )
    weights = None if settings.weights in NOT_PATHS else Path(settings.weights)
    tables = [
        (f"--limit {limit.text}:", Path(limit.on)) for limit in settings.limits if Path(limit.on).suffix
    ]
    paths = [("--recipe", settings.recipe), ("--prices", settings.prices), ("--weights", weights), *tables]
    for flag, path in paths:
        if path is not None and not path.is_absolute():
            raise UserError(
                f"{flag} {path}: is a path of this machine; give an absolute path on all machines"
            )
    data = settings.data
    if data is not None and not is_toy_city(data) and "://" not in data and not Path(data).is_absolute():
        raise UserError(
            f"--data {data}: is a path of this machine; give s3://bucket/prefix, or an absolute path on all machines"
        )


def submit(words: Sequence[str], settings: Settings) -> tuple[ClusterJobs, Job]:
    """Hand a search to the cluster of `settings.address`. words: its command line. Raises UserError."""
    check(settings)
    jobs = ClusterJobs(settings.address)
    studies = store_uri(settings.studies_dir) or str(settings.studies_dir)
    name = name_of(settings.study or settings.space)
    about = {"study": settings.study or "", "studies_dir": studies}
    return jobs, jobs.submit([*without(words), "--address", "auto"], name, about)


def name_of(study: str) -> str:
    """The name of a search that begins now: a part of addresses, and a word in commands."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', study)}-{time.strftime('%m%d-%H%M%S')}"


def without(words: Sequence[str]) -> list[str]:
    """The arguments without the flags that are for this machine alone, and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        flag, given, _ = word.partition("=")
        if skip:
            skip = False
        elif len(flag) > len("--sub") and "--submit".startswith(flag):  # argparse takes --subm for it
            continue
        elif flag == "--address":
            skip = not given
        else:
            kept.append(word)
    return kept
