"""Measures the networks of a space as they are served: exports each with its initial weights, and times the exports.

Both in processes of their own, one network after another, before a search trains anything. What was measured is kept for
this machine.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from trainers import model as models
from trainers import recipe as recipes
from trainers.datasets.dataset import Dataset, from_dict
from trainers.errors import TrialFailed, UserError
from trainers.files import write_text
from trainers.hardware.contention import BUSY
from trainers.hardware.machine import cpus_here, gpus_here
from trainers.keras_training import start_up_lines
from tuning.api.deployment.architectures import Example
from tuning.execution.environment import hardware
from tuning.execution.python_path import python_path
from tuning.execution.worker import make_trainer
from tuning.search.constraints.limit import LATENCY, SIZE
from tuning.search.constraints.served_costs import ServedCosts

CACHE_VARIABLE = "DETECTOR_TUNING_COSTS_CACHE"
DEFAULT_CACHE = "~/.cache/detector-tuning/served-costs"
IMAGES = 16  # validation images for an export that is only timed
RUNTIMES = ("openvino", "tensorflow", "tensorflow-cpu")


def measured(
    examples: Sequence[Example],
    backend: str,
    dataset: Dataset,
    say: Callable[[str], None],
    trainer: str | None = None,
) -> ServedCosts:
    """The costs of the networks on this machine, served by `backend`.

    dataset: decides the number of classes. trainer: factory, "module:callable", instead of the models' own.
    Raises UserError when a network cannot be exported, or the backend cannot run it.
    """
    costs = [_kept(each, backend, dataset) for each in examples]
    if missing := [each for each, known in zip(examples, costs, strict=True) if known is None]:
        say(
            f"measuring {len(missing)} of {len(examples)} networks with {backend}, before anything is trained; about "
            f"{max(1, round(len(missing) * 0.7))} min"
        )
    found = []
    for each, known in zip(examples, costs, strict=True):
        if known is None:
            timed = _measure(each, backend, dataset, trainer)
            known = timed.costs
            say(f"measured {each.architecture}: {shown(known)}{timed.remark}")
            if not timed.remark:  # otherwise the next search measures it again
                path = _path(each, backend, dataset)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(known) + "\n")
        found.append(dataclasses.replace(each.architecture, costs=known))
    here = hardware()
    return ServedCosts(found, f"{backend} on {here['cpu']}, {cpus_here()} threads")


def shown(costs: Mapping[str, float]) -> str:
    """In a few words: `latency_ms 12.3, megabytes 9.8`."""
    return ", ".join(f"{name} {value:.3g}" for name, value in costs.items())


class Timed(NamedTuple):
    """The costs of an export on this machine. others: share of its CPUs that other programs used meanwhile."""

    costs: dict[str, float]
    others: float = 0.0

    @property
    def remark(self) -> str:
        """For people, after the costs; "" if the latency can be trusted."""
        return (
            f" (too high: other programs used {self.others:.0%} of its CPUs meanwhile)"
            if self.others > BUSY
            else ""
        )


def latency_of(exports: Sequence[Path], backend: str) -> list[Timed]:
    """The costs of exports on this machine, in order. Raises UserError when the backend cannot run one."""
    with tempfile.TemporaryDirectory(
        prefix="latency-"
    ) as cache:  # must not push served networks out of theirs
        words = [sys.executable, "-m", "serve.latency", *map(str, exports), "--backend", backend, "--json"]
        environment = {"PYTHONPATH": python_path(), "DETECTOR_SERVING_CACHE": cache}
        done = _run(words, environment)
    found = []
    for row in (json.loads(line) for line in done.splitlines() if line.startswith("{")):
        latency = row["backends"][backend]
        costs = {LATENCY: round(latency["median_ms"], 3), SIZE: round(row["megabytes"], 3)}
        found.append(Timed(costs, latency["others"]))
    return found


def _measure(each: Example, backend: str, dataset: Dataset, trainer: str | None) -> Timed:
    modules = models.modules_of([each.recipe.model])
    with tempfile.TemporaryDirectory(prefix="network-") as scratch:
        folder = Path(scratch) / "export"
        job = {
            "recipe": each.recipe.to_dict(), "dataset": dataset.to_dict(), "trainer": trainer, "folder": str(folder),
            "modules": list(modules),
        }  # fmt: skip
        _run([sys.executable, "-m", __name__], {"PYTHONPATH": python_path(modules)}, json.dumps(job))
        [timed] = latency_of([folder], backend)
    return timed


def _run(words: Sequence[str], environment: Mapping[str, str], given: str = "") -> str:
    """What a command prints. Raises UserError with its last line when it fails."""
    done = subprocess.run(
        list(words), input=given, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    last = (done.stderr.strip().splitlines() or ["it was killed"])[-1].removeprefix("error: ")
    if done.returncode == 2:
        raise UserError(last)
    if done.returncode:
        raise UserError(f"measuring the networks failed: {last[:300]}")
    return done.stdout


def export_untrained(job: Mapping[str, Any]) -> None:
    """Export the network of a recipe with its initial weights, in this process."""
    for module in job["modules"]:
        importlib.import_module(module)
    recipe, dataset = recipes.build(job["recipe"]), from_dict(job["dataset"])
    few = dataclasses.replace(dataset.validation, images=min(IMAGES, dataset.validation.images))
    factory = job["trainer"] or models.get(recipe.model).trainer
    options = {"cpus": cpus_here(), "gpu_fraction": min(1.0, gpus_here())}
    trainer = make_trainer(factory, dataclasses.replace(dataset, validation=few), options)
    trainer.start(recipe)
    trainer.export(Path(job["folder"]))


def _path(each: Example, backend: str, dataset: Dataset) -> Path:
    versions = {name: _version(name) for name in RUNTIMES}
    about = [each.architecture.fields, len(dataset.classes), backend, cpus_here(), hardware(), versions]
    name = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    return Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE).expanduser() / f"{name}.json"


def _kept(each: Example, backend: str, dataset: Dataset) -> dict[str, float] | None:
    try:
        found: dict[str, float] = json.loads(_path(each, backend, dataset).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":  # what _measure runs
    start_up_lines.hide()
    try:
        export_untrained(json.load(sys.stdin))
    except (UserError, TrialFailed) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
