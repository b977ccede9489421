"""What a search ends with: trainings of its best trials again (`--confirm`, `--folds`), or `--until-converged`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainers.errors import UserError
from tuning.search.limits.budget import Budget

FEWEST_TO_CHOOSE = 2  # trials of a search whose best are trained again


def trainings_again(confirm: int, folds: int) -> int:
    """The number of trainings of the best trials: --confirm, or two trials on each of --folds."""
    return confirm or 2 * folds


def check_repeats(confirm: int, folds: int, budget: Budget) -> None:
    """Raise UserError for numbers that do not fit together, or leave no search to choose the best trials from."""
    if folds == 1:
        raise UserError("--folds 1: there must be at least 2, of which each is for validation once")
    if folds and confirm % folds:
        raise UserError(
            f"--confirm {confirm} with --folds {folds}: each of the best trials is trained once on each fold; give a "
            f"multiple of {folds}"
        )
    again = trainings_again(confirm, folds)
    asked = f"--confirm {confirm}" if confirm else f"--folds {folds}, with {again} trainings,"
    for flag, most in (("--trials", budget.trials), ("--like", budget.trainings)):
        if again and most is not None and again > most - FEWEST_TO_CHOOSE:
            raise UserError(
                f"{asked} is larger than the budget: {flag} {most:g} leaves no {FEWEST_TO_CHOOSE} trials to choose "
                f"from; give {flag} {again + FEWEST_TO_CHOOSE} or more, or a smaller --confirm"
            )


def check_worth(worth: float | None, also: Sequence[str]) -> None:
    """Raise UserError for a gain that --until-converged cannot wait for. also: further objectives (--and)."""
    if worth is None:
        return
    if not 0 < worth < math.inf:
        raise UserError(f"--until-converged must be above 0, not {worth:g}")
    if also:
        raise UserError(
            "--until-converged is for one objective; leave out --and, or limit --trials or --time"
        )
