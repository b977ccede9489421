"""Runs a simulation: every step as a Ray task, seeds and strategies side by side; goes on where it was killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trainers import model as models
from trainers.errors import UserError
from tuning.active import outcome as outcomes
from tuning.active import pool, training
from tuning.active.outcome import Outcome
from tuning.active.simulation import Simulation, Step
from tuning.active.training import Job
from tuning.execution.engine import Resources, started_ray

Outcomes = Mapping[Step, Outcome]
STEPS_OF_A_PROCESS = 20  # before another one takes its place, whatever memory the steps have left behind


def finished(simulation: Simulation) -> dict[Step, Outcome]:
    """The outcomes of the steps that are done."""
    found = {step: outcomes.read(simulation.path(step)) for step in simulation.steps()}
    return {step: outcome for step, outcome in found.items() if outcome is not None}


def run(
    job: Job, resources: Resources, say: Callable[[str], None], report: Callable[[Step, Outcome], str]
) -> dict[Step, Outcome]:
    """Do all steps that are not done. report: a line about one that is.

    Raises UserError when a step reports what the user has to mend, or its process dies again and again.
    """
    simulation = job.simulation
    done = finished(simulation)
    for step in done:
        training.clean(simulation, step)
    left = [step for step in simulation.steps() if step not in done and not _failed_before(step, done)]
    if not left:
        return done
    say(f"{len(left)} of {len(list(simulation.steps()))} trainings to do, {resources.workers} at a time")
    pool.index(job.dataset, simulation.folder)
    modules = models.modules_of([simulation.recipe.model])
    with started_ray(resources, modules):
        _run(job, resources, left, done, say, report)
    return done


def _run(
    job: Job,
    resources: Resources,
    left: list[Step],
    done: dict[Step, Outcome],
    say: Callable[[str], None],
    report: Callable[[Step, Outcome], str],
) -> None:
    import ray

    # a process keeps its graph from step to step; but not the GPU that Ray gave it
    calls = 1 if resources.gpus else STEPS_OF_A_PROCESS
    remote: Any = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_calls=calls)(_train)
    running: dict[Any, Step] = {}
    kept = ray.put(job)
    while left or running:
        ready = [step for step in left if step.before is None or step.before in done]
        for step in ready:
            running[remote.remote(kept, step)] = step
        left = [step for step in left if step not in ready]
        [first], _ = ray.wait(list(running), num_returns=1)
        step = running.pop(first)
        try:
            outcome: Outcome | str = ray.get(first)
        except ray.exceptions.RayError as error:
            line = " ".join(str(error).split())[-200:]
            raise UserError(f"{step}: its process ended ({line}); run the same command to go on") from None
        if isinstance(outcome, str):
            raise UserError(f"{step}: {outcome}")
        done[step] = outcome
        training.clean(job.simulation, step)
        left = [each for each in left if not _failed_before(each, done)]
        say(report(step, outcome))


def _train(job: Job, step: Step) -> Outcome | str:
    """What the worker does; an error of the user's as text, since Ray would wrap it in its own."""
    try:
        return training.train(job, step)
    except UserError as error:
        return str(error)


def _failed_before(step: Step, done: Outcomes) -> bool:
    """Whether a step that this one needs has failed."""
    while (before := step.before) is not None:
        if before in done and done[before].failure:
            return True
        step = before
    return False
