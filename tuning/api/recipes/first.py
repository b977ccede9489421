"""The recipe that `--recipe` names, as the first trial of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces.branch import Published
from search_spaces.conditions import Conditions
from search_spaces.space import Seed, Space
from trainers import recipe as recipes
from trainers.errors import UserError
from trainers.recipe import Given

# the space says itself what it changes of these; the seed is the search's
_SAID = ("optimizer", "schedule", "augmentations", "averaging", "batch_size", "seed")


@dataclass(frozen=True)
class FirstRecipe:
    """A recipe of one of the space's models. path: the file that it was read from."""

    path: Path
    given: Given

    def weights(self, asked: str, space: Space) -> str:
        """`--weights` as asked for; of "auto", the checkpoint on this machine that the recipe starts from, if any.

        Not in a space of several models, which must start from equal weights.
        """
        source = self.given.recipe.weights.source
        if asked != "auto" or source in ("none", "zoo") or len(space.models) > 1:
            return asked
        return source if Path(source).exists() or Path(f"{source}.index").exists() else asked

    def first_trial(self, space: Space, conditions: Conditions) -> tuple[Seed, str]:
        """The trial, adapted to the space and the conditions, and a line for the user that says what had to change.

        Raises UserError if the recipe has an optimizer or a schedule that is not in the space.
        """
        recipe, name = self.given.recipe, self.path.name
        try:
            seed = space.adapted(Published(name, str(self.path.absolute()), recipe), conditions)
        except UserError as error:
            raise UserError(f"--recipe {self.path}: {error}") from None
        theirs = recipe.to_dict()
        here = space.replay(seed.params, conditions).recipe.to_dict()
        conditional = [
            f"{field} {_shown(theirs[field])} → {_shown(here[field])}"
            for field in theirs
            if field not in _SAID and _shown(theirs[field]) != _shown(here[field])
        ]
        changed = [*self.given.changed, *conditional, *seed.changed]
        return seed, f"{name} is the first trial; changed: {', '.join(changed) if changed else 'nothing'}"


def read(path: Path, space: Space) -> FirstRecipe:
    """The recipe in the file. Raises UserError if it cannot be read, or is of none of the space's models."""
    given = recipes.read_any(path)
    if given.recipe.model not in space.models:
        raise UserError(
            f"--recipe {path}: is of {given.recipe.model}, which --space {space.name} does not search; it searches "
            f"{', '.join(space.models)}"
        )
    return FirstRecipe(path, given)


def _shown(value: object) -> object:
    """A recipe's value; of initial weights their source."""
    return value["source"] if isinstance(value, dict) else value
