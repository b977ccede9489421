"""summary.json: a study's result, for people and programs. Its fields are documented and stay stable."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from trainers.files import write_text
from trainers.objective import Objective
from tuning.search.callback import Callback
from tuning.study import pareto
from tuning.study import trial_record as records
from tuning.study.confirmed import confirmed
from tuning.study.reading import CONVERGED
from tuning.study.study import Study
from tuning.study.trial_record import TrialRecord

# the largest share of a search's time that writing the summary may take
SHARE = 0.05


def summary(study: Study) -> dict[str, Any]:
    """The content of summary.json. Trials without a verdict (waiting, running) are left out."""
    trials = study.records()
    best = records.best(trials)
    return {
        "study": study.name,
        "space": study.manifest.space,
        "data": study.manifest.data,
        "objective": {"name": study.objective.name, "direction": study.objective.direction},
        "best": best and _best(best, study.objective.name),
        **_front(trials, study.objective),
        **({"confirmation": found.to_dict()} if (found := confirmed(trials, study.objective)) else {}),
        **({"converged": noted} if (noted := study.attribute(CONVERGED)) else {}),
        "trials": [_trial(trial, study.objective.name) for trial in trials if trial.verdict is not None],
        "wall_seconds": round(study.wall_seconds, 3),
        "versions": study.manifest.versions,
    }


def _front(trials: list[TrialRecord], objective: Objective) -> dict[str, Any]:
    """Of a study with several objectives, the trials that no other beats in all of them."""
    if not objective.also:
        return {}
    rows = [
        {
            "trial": record.number,
            "value": record.value,
            **{name: record.rungs[-1].metrics[name] for name in objective.also},
        }
        for record in pareto.front(trials, objective)
    ]
    return {"front": rows, "hypervolume": pareto.dominated_share(trials, objective)}


def _best(record: TrialRecord, objective: str) -> dict[str, Any]:
    """The best trial. The value is there under the objective's name too, as in the first versions."""
    return {
        "trial": record.number,
        "value": record.value,
        objective: record.value,
        "recipe_id": record.recipe_id,
    }


def _trial(record: TrialRecord, objective: str) -> dict[str, Any]:
    assert record.verdict is not None
    return {
        "trial": record.number,
        "state": record.verdict.state,
        "reason": record.verdict.reason,
        "recipe_id": record.recipe_id,
        "recipe": record.recipe,
        **({} if record.repeats is None else {"repeats": record.repeats}),
        **({} if record.fold is None else {"fold": str(record.fold)}),
        **({} if record.fork is None else {"began_from": asdict(record.fork)}),
        "rungs": [
            {"step": rung.step, "value": rung.value, objective: rung.value, "seconds": round(rung.seconds, 3)}
            for rung in record.rungs
        ],
        "seconds_training": round(record.seconds_training, 3),
        "seconds_overhead": round(record.seconds_overhead, 3),
    }


class SummaryFile(Callback):
    """Rewrites the study's summary.json after each verdict; less often when there are thousands of trials."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._path = study.folder / "summary.json"
        self._not_before = 0.0

    def ended(self, record: TrialRecord) -> None:
        """Rewrite the file, unless that would take too large a share of the time."""
        if time.monotonic() >= self._not_before:
            self.write()

    def write(self) -> None:
        """Rewrite the file now."""
        began = time.monotonic()
        text = json.dumps(summary(self._study), indent=2, allow_nan=False, ensure_ascii=False)
        write_text(self._path, text + "\n")
        now = time.monotonic()
        self._not_before = now + (now - began) * (1 / SHARE - 1)
