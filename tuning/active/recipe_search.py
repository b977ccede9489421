"""A small search of the recipe within a simulation: each k cycles, on the images that are labelled by then.

The first candidate is the recipe so far, the others are drawn at random from the space of its model, the same ones for
all strategies of a seed. The best on the validation images trains the cycles up to the next search.
"""

from __future__ import annotations

import search_spaces
from search_spaces.conditions import Conditions
from search_spaces.space import Space
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.objective import Objective
from trainers.recipe import Recipe
from tuning.active import outcome as outcomes
from tuning.active.simulation import Simulation, Step
from tuning.search.sampler import SamplerContext
from tuning.search.samplers.random_sampler import RandomSampler


def space_of(recipe: Recipe) -> Space:
    """The space of the recipe's model alone. Raises UserError if there is none."""
    for name in search_spaces.names():
        space = search_spaces.get(name)
        if tuple(space.models) == (recipe.model,):
            return space
    raise UserError(f"--search-every: no space searches {recipe.model} alone; leave it out")


def recipe_so_far(simulation: Simulation, step: Step) -> Recipe:
    """The recipe that a step begins with: the best of the last search before it, or the simulation's own."""
    seed = step.seed
    while (before := step.before) is not None:
        done = outcomes.read(simulation.path(before))
        assert done is not None
        if done.recipe is not None:
            return recipes.build(dict(done.recipe), where=f"{before}").replace(seed=seed)
        step = before
    return simulation.recipe.replace(seed=seed)


def candidates(simulation: Simulation, step: Step, objective: Objective) -> list[Recipe]:
    """The recipes that a step trains: one, unless a search is due; the recipe so far is the first."""
    present = recipe_so_far(simulation, step)
    if not simulation.searches(step):
        return [present]
    space = space_of(present)
    conditions = Conditions(
        steps=present.steps,
        batch_size=present.batch_size,
        image_size=present.image_size,
        weights=present.weights,
    )
    drawn = (step.seed << 20) + step.cycle
    context = SamplerContext(lambda trial: space.suggest(trial, conditions), drawn, objective)
    sampler = RandomSampler(context)
    others = (sampler.propose(number).recipe for number in range(1, simulation.search_trials))
    return [present, *(other.replace(seed=step.seed) for other in others)]
