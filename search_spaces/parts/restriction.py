"""Restriction: the choices that `--only` leaves of a space's categorical parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from search_spaces.parts.parameters import Trial
from trainers.errors import UserError

# (parameter, the choices that are left, as text)
Only = tuple[tuple[str, tuple[str, ...]], ...]


def parse(given: Iterable[str]) -> Only:
    """`["optimizer=adam,momentum"]` as an Only. Raises UserError for what is not of this form, or is given twice."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, values = text.partition("=")
        chosen = tuple(value.strip() for value in values.split(","))
        if not name.strip() or not all(chosen):
            raise UserError(
                f"--only {text}: give a parameter and some of its choices, as in optimizer=adam,momentum"
            )
        if name.strip() in found:
            raise UserError(f"--only {text}: {name.strip()} is given twice; separate its choices by commas")
        found[name.strip()] = chosen
    return tuple(found.items())


class Restricted:
    """A trial that is offered only some choices of some parameters; everything else is `trial`'s."""

    def __init__(self, trial: Trial, only: Only) -> None:
        self._trial, self._only = trial, dict(only)

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> float:
        """As the trial's."""
        return self._trial.suggest_float(name, low, high, **options)

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> int:
        """As the trial's."""
        return self._trial.suggest_int(name, low, high, **options)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices that are left. Raises UserError, with the known ones, for a choice that there is not."""
        if name in self._only:
            by_text = {_text(choice): choice for choice in choices}
            if unknown := [text for text in self._only[name] if text not in by_text]:
                known = ", ".join(by_text)
                raise UserError(f"--only: {name} has no choice '{unknown[0]}'; known are {known}")
            choices = [choice for text, choice in by_text.items() if text in self._only[name]]
        return self._trial.suggest_categorical(name, choices)


def check(only: Only, choices: Iterable[str]) -> None:
    """Raise UserError for a parameter that is not among the names of categorical ones, `choices`."""
    known = list(choices)
    for name, _ in only:
        if name not in known:
            raise UserError(f"--only: the space has no choice called '{name}'; known are {', '.join(known)}")


def _text(choice: Any) -> str:
    return {True: "on", False: "off"}[choice] if isinstance(choice, bool) else str(choice)
