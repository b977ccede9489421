"""Fork: where a trial that did not begin at step 0 of its own got its weights: from the checkpoint of another trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# keys of a provenance: the number of the trial whose weights were taken, the step of its checkpoint, and the trial in
# whose place the new one trains
FORKS, AT_STEP, INSTEAD_OF = "forks", "at_step", "instead_of"


@dataclass(frozen=True)
class Fork:
    """A trial begins from the checkpoint of another one, in place of a third.

    of: number of the trial whose weights it takes. step: of that checkpoint, in gradient steps.
    instead_of: number of the trial that ends there.
    """

    of: int
    step: int
    instead_of: int

    @classmethod
    def from_provenance(cls, provenance: Mapping[str, str]) -> Fork | None:
        """The fork with which a trial has begun; None for a trial that began with initial weights."""
        if FORKS not in provenance:
            return None
        return cls(int(provenance[FORKS]), int(provenance[AT_STEP]), int(provenance[INSTEAD_OF]))

    def provenance(self, changes: str) -> dict[str, str]:
        """That of the trial (TrialRecord.provenance). changes: of the recipe, for the user."""
        return {
            "name": f"trial {self.of} from step {self.step}, in place of trial {self.instead_of}",
            "source": changes,
            FORKS: str(self.of),
            AT_STEP: str(self.step),
            INSTEAD_OF: str(self.instead_of),
        }


def lineage(number: int, forks: Mapping[int, Fork | None]) -> list[tuple[int, int]]:
    """Whose recipe trained a trial's weights: (trial, from which step on), from step 0 to the trial itself.

    forks: of each trial of the study, by number.
    """
    fork = forks[number]
    return [(number, 0)] if fork is None else [*lineage(fork.of, forks), (number, fork.step)]
