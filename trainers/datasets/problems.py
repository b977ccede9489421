"""Problems: what is wrong with labelled images, counted by kind and named, and when it is too much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from trainers.errors import UserError, one_line

# Up to this share of the images may have something wrong; they are left out, or lose their wrong boxes.
LIMIT = 0.05


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    kind: a few words, the same for the same kind of thing.
    where: file, and line or record where there is one, that a person would look at.
    what: the particulars.
    image: the name of the image it costs, or costs a box; None when nothing is lost and every label stays right.
    fatal: one of these is too many: labels or files are not what they seem.
    """

    kind: str
    where: str
    what: str
    image: str | None = None
    fatal: bool = False

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.kind}: {self.what}")


def below(folder: str, name: str) -> str:
    """What lies in `folder` as `name`, called from outside of it; "" is no folder."""
    return f"{folder}/{name}" if folder else name


class Problems:
    """Counts problems and keeps the first of each kind.

    source: what a person named, for messages.
    listener: is told of every problem. With one, nothing is raised until `refuse`, so that it hears of all of them.
    """

    def __init__(self, source: str, on_problem: Callable[[Problem], None] | None = None) -> None:
        self.source = source
        self.counts: Counter[str] = Counter()
        self.first: dict[str, Problem] = {}
        self._affected: set[str] = set()
        self._fatal: Problem | None = None
        self.on_problem = on_problem

    def add(self, problem: Problem) -> None:
        """Count a problem. Raises UserError at a fatal one when nobody wants to hear of the others."""
        self.counts[problem.kind] += 1
        self.first.setdefault(problem.kind, problem)
        if problem.image is not None:
            self._affected.add(problem.image)
        if problem.fatal:
            self._fatal = self._fatal or problem
        if self.on_problem:
            self.on_problem(problem)
        else:
            self._raise_if_fatal()

    def within(self, folder: str) -> Problems:
        """Takes in what is wrong with a folder of the source; places and images are named from there."""

        def pass_on(problem: Problem) -> None:
            image = None if problem.image is None else below(folder, problem.image)
            self.add(replace(problem, where=below(folder, problem.where), image=image))

        return Problems(self.source, pass_on)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Count several."""
        for problem in problems:
            self.add(problem)

    @property
    def affected_images(self) -> Collection[str]:
        """The names of the images that are lost or lose a box."""
        return self._affected

    @property
    def affected(self) -> int:
        """How many images are lost or lose a box."""
        return len(self._affected)

    def summary(self) -> list[str]:
        """One line for each kind, the most frequent first."""
        return [self._line(kind) for kind, _ in self.counts.most_common()]

    def _line(self, kind: str) -> str:
        count, first = self.counts[kind], self.first[kind]
        return one_line(f"{count} x {kind}, {'first' if count > 1 else 'in'} {first.where}: {first.what}")

    def _raise_if_fatal(self) -> None:
        if self._fatal:
            raise UserError(f"{self.source}: {self._fatal.where}: {self._fatal.what}")

    def raise_if_unusable(self, images: int) -> None:
        """Raise UserError when a problem was fatal, or more than LIMIT of `images` are affected."""
        self._raise_if_fatal()
        if self.affected <= LIMIT * images:
            return
        kinds = "; ".join(
            self._line(kind) for kind, _ in self.counts.most_common() if self.first[kind].image is not None
        )
        raise UserError(
            f"{self.source}: {self.affected} of {images} images cannot be trusted, the limit is {LIMIT:.0%}: "
            f"{kinds}; `python -m trainers.datasets check {self.source}` lists them all"
        )
