"""What a search with `--scheduler pbt` or `pb2` needs, and which options it cannot have."""

from __future__ import annotations

from collections.abc import Mapping

from trainers.errors import UserError

POPULATIONS = ("pbt", "pb2")  # of --scheduler
FEWEST = 2
# setting -> its flag, its value where it is left out, and why a population cannot have another
WITHOUT: Mapping[str, tuple[str, object, str]] = {
    "also": ("--and", (), "a population is ranked by one objective"),
    "brackets": ("--brackets", 1, "all members are judged at the same rungs"),
    "confirm": (
        "--confirm",
        0,
        "a recipe that was changed on the way cannot be trained again from its start",
    ),
    "folds": ("--folds", 0, "a recipe that was changed on the way cannot be trained again from its start"),
    "reduction_factor": (
        "--reduction-factor",
        3,
        "the worst quarter is replaced, at rungs at equal distances",
    ),
    "until_converged": ("--until-converged", None, "all members end together"),
}


def check_population(scheduler: str, trials: int | None, settings: Mapping[str, object]) -> None:
    """Raise UserError when `scheduler` trains a population, and it cannot be trained so.

    trials: the number of its members; None if it is not limited. settings: by name, those of WITHOUT among them.
    """
    if scheduler not in POPULATIONS:
        return
    for name, (flag, left_out, why) in WITHOUT.items():
        if settings[name] != left_out:
            raise UserError(f"{flag} is not for --scheduler {scheduler}: {why}; leave it out")
    if trials is None or trials < FEWEST:
        raise UserError(
            f"--scheduler {scheduler} needs --trials, the number of its members, of {FEWEST} or more; each is trained "
            "to its end"
        )


def check_steps(scheduler: str, begun: int, now: int | None) -> None:
    """Raise UserError when a population that was begun with so many steps is to have another number of them now."""
    if scheduler in POPULATIONS and now not in (None, begun):
        raise UserError(
            f"--max-steps {now}: this population was begun with {begun}, and its rungs follow from that; use the same, "
            "or give another --study name"
        )
