"""Logs a simulation to MLflow: an experiment, a run for each strategy and seed, metrics by the number of labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.errors import UserError
from tuning.active.outcome import Outcome
from tuning.active.simulation import Simulation, Step
from tuning.tracking.store import allowed_name, client

STRATEGY, SEED = "active.strategy", "active.seed"  # tags


def log(uri: str, simulation: Simulation, done: Mapping[Step, Outcome], files: list[Path]) -> None:
    """Log what is not there yet of the steps that are done; may be called again. files: artifacts of the newest run.

    Raises UserError, in one line, if MLflow cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    try:
        store = client(uri)
        experiment = _experiment(store, simulation)
        for seed in range(simulation.seeds):
            for strategy in simulation.strategies:
                run = _run(store, experiment, simulation, strategy, seed)
                _log_outcomes(store, run, simulation, done, strategy, seed)
                for file in files:
                    store.log_artifact(run, str(file))
    except MlflowException as error:
        raise UserError(f"MLflow at {uri}: {' '.join(str(error).split())[:200]}") from None


def _experiment(store: Any, simulation: Simulation) -> str:
    found = store.get_experiment_by_name(simulation.folder.name)
    if found is not None:
        return str(found.experiment_id)
    artifacts = (simulation.folder.parent / "mlruns" / simulation.folder.name).absolute().as_uri()
    return str(store.create_experiment(simulation.folder.name, artifact_location=artifacts))


def _run(store: Any, experiment: str, simulation: Simulation, strategy: str, seed: int) -> str:
    same = f"tags.`{STRATEGY}` = '{strategy}' and tags.`{SEED}` = '{seed}'"
    if found := store.search_runs([experiment], same, max_results=1):
        return str(found[0].info.run_id)
    tags = {STRATEGY: strategy, SEED: str(seed), "data.fingerprint": simulation.data}
    run = store.create_run(experiment, run_name=f"{strategy}, seed {seed}", tags=tags).info.run_id
    recipe = simulation.recipe
    chosen = ("initial", "batch", "cycles", "candidates", "fine_tune", "search_every", "search_trials")
    asked = {name: getattr(simulation, name) for name in chosen}
    for name, value in {
        "model": recipe.model,
        "recipe": recipe.recipe_id,
        "steps": recipe.steps,
        **asked,
    }.items():
        store.log_param(run, name, value)
    return str(run)


def _log_outcomes(
    store: Any, run: str, simulation: Simulation, done: Mapping[Step, Outcome], strategy: str, seed: int
) -> None:
    from mlflow.entities import Metric

    steps = [Step(seed, strategy if cycle else None, cycle) for cycle in range(simulation.cycles + 1)]
    ended = [done[step] for step in steps if step in done]
    there = {each.step for each in store.get_metric_history(run, "seconds")}
    for outcome in ended:
        if outcome.labels in there:
            continue
        values = {"seconds": outcome.seconds, **outcome.metrics}
        metrics = [Metric(allowed_name(name), value, 0, outcome.labels) for name, value in values.items()]
        store.log_batch(run, metrics=metrics)
    if len(ended) == len(steps):
        store.set_terminated(run, "FAILED" if any(each.failure for each in ended) else "FINISHED")
