"""Resolved: the settings of a search with its space, and the forecast that follows from them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import task as tasks
from trainers.task import Task
from tuning.api.forecast import plan, speed
from tuning.api.forecast.graphs import expected_graphs
from tuning.api.forecast.plan import Plan
from tuning.api.forecast.speed import FirstSteps
from tuning.api.settings import Settings
from tuning.study.trial_record import TrialRecord


@dataclass(frozen=True)
class Resolved:
    """The settings and the resolved search space. Raises UserError for what can be checked before opening data.

    first_steps: by model, of those that have taken some on this machine.
    """

    settings: Settings
    space: Space
    conditions: Conditions
    first_steps: Mapping[str, FirstSteps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.space.rows(self.conditions)
        settings = self.settings
        settings.budget.check_fits(settings.gpus, settings.steps, settings.new_scheduler().rungs[0])
        if (
            settings.objective and "/" not in settings.objective
        ):  # a metric of one class needs the data's classes
            self.task.objective(settings.objective, ())

    @property
    def task(self) -> Task:
        """The task of the space's models."""
        return tasks.get(self.space.task)

    def plan(self, own: Sequence[TrialRecord] = ()) -> Plan:
        """The forecast for this search. own: the trials of the study so far."""
        settings = self.settings
        pixels = {
            branch.model: round(
                branch.fixed(self.conditions)["image_size"] ** 2
                * max(branch.batch_sizes(self.conditions))
                * branch.mean_cost(self.conditions)
            )
            for branch in self.space.branches
        }
        speeds = speed.known(pixels, settings.cpus, settings.studies_dir, own, self.first_steps)
        return plan.plan(
            settings.new_scheduler(),
            settings.budget,
            speeds,
            settings.at_once,
            settings.keep_checkpoints,
            settings.gpus,
            settings.trainings_again,
            functools.partial(expected_graphs, self.space, self.conditions),
            max(branch.most_parameters(self.conditions) for branch in self.space.branches),
        )

    def first_trials(self, trials: int) -> str:
        """A line for the user: how many of so many trials have published recipes, and who proposes the others."""
        trials -= self.settings.trainings_again
        published = self.space.published_among(trials, self.conditions)
        until, objective = (
            self.settings.until_converged,
            self.settings.objective or self.task.default_objective,
        )
        sooner = (
            f"; ends when the next training is expected to gain less than {until:g} of {objective}"
            if until
            else ""
        )
        return f"recipes  {published} published, {trials - published} proposed by {self.settings.sampler}{sooner}"

    def cost_lines(self) -> list[str]:
        """Lines for the user: what a step costs with each choice that changes it much, such as the backbone."""
        found = []
        for branch in self.space.branches:
            if costs := branch.relative_costs(self.conditions):
                shown = ", ".join(
                    f"{name} {cost:g}" for name, cost in sorted(costs.items(), key=lambda each: each[1])
                )
                found.append(f"step     {shown} times {branch.model}'s; each trial is charged its own")
        return found
