"""Prints what a search would do, without doing any of it; behind `--dry-run`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

import search_spaces
from trainers.datasets.toy_city import is_toy_city
from trainers.datasets.toy_city.naming import parse_city
from trainers.errors import UserError
from trainers.recipe import InitialWeights
from tuning.api import earlier_study, initial_weights
from tuning.api.deployment.architectures import architectures
from tuning.api.forecast import choice, plan
from tuning.api.recipes import first as first_recipe
from tuning.api.resolved import Resolved
from tuning.api.settings import Settings


def dry_run(settings: Settings, console: Console) -> None:
    """Print the plan of the search. Opens no data, downloads no weights, writes nothing."""
    space = search_spaces.get(settings.space)
    given = first_recipe.read(settings.recipe, space) if settings.recipe else None
    choice_of_weights = given.weights(settings.weights, space) if given else settings.weights
    own_data = initial_weights.own_data(settings.data)
    source = initial_weights.wanted(choice_of_weights, settings.preset, own_data)
    here = Resolved(settings, space, settings.conditions(InitialWeights(source=source)))
    if settings.data is not None and is_toy_city(settings.data):
        parse_city(settings.data)
    elif settings.data is not None and "://" not in settings.data and not Path(settings.data).exists():
        raise UserError(f"{settings.data}: no such file or folder")
    earlier_study.asked_for(here)  # reports a wrong name here too
    first = None
    if given is not None:
        _, first = given.first_trial(space, here.conditions)
    planned = here.plan()
    plan.check_confirm(planned, settings.budget)
    console.print(f"space    {space.name}: {', '.join(space.models)}", highlight=False)
    about = (
        ""
        if planned.trials == settings.budget.trials
        else "at least "
        if planned.seconds is None
        else "about "
    )
    if settings.limits:
        count = len(architectures(space, here.conditions))
        asked = ", ".join(limit.text for limit in settings.limits)
        line = f"limits   {asked}: {count} networks are measured before anything is trained"
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"trials   {about}{planned.trials}, {settings.at_once} at once", highlight=False)
    chosen = choice.line(settings.sampler, settings.scheduler, planned.steps / settings.steps)
    console.print(chosen, highlight=False, soft_wrap=True)
    if own_data and settings.preset == "laptop" and not (settings.image_size and settings.max_steps):
        line = "data     not read here; the search chooses image size and steps by them, which changes what follows"
        console.print(line, highlight=False, soft_wrap=True)
    if first is not None:
        console.print(f"recipe   {first}", highlight=False, soft_wrap=True, markup=False)
    for line in [here.first_trials(planned.trials), *plan.lines(planned), *here.cost_lines()]:
        console.print(line, highlight=False, soft_wrap=True)
