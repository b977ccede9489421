"""Problems found in labelled images: counted by kind, named with their place, and limited to a share of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from trainers.errors import UserError, one_line

# Up to this share of the images may have problems; those images are left out, or lose the wrong boxes.
LIMIT = 0.05
EXAMPLES = 3  # problems of a kind that are shown


@dataclass(frozen=True)
class Problem:
    """One problem.

    kind: a short name shared by all problems of this kind, such as "missing image".
    where: the file to open, with a line or record number if there is one: "labels.json:12".
    what: the details.
    image: name of the image that is left out or loses a box; None if no label is lost.
    harmless: converting the source mends it, and nothing is lost.
    fatal: a single one is enough to refuse the source, because its labels or files are not what they seem to be.
    """

    kind: str
    where: str
    what: str
    image: str | None = None
    fatal: bool = False
    harmless: bool = False

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.kind}: {self.what}")


def below(folder: str, name: str) -> str:
    """`folder/name`; just `name` if `folder` is empty."""
    return f"{folder}/{name}" if folder else name


class Problems:
    """Counts the problems of a source and keeps the first of each kind.

    source: the source as the user named it, for error messages.
    on_problem: called with each problem. If given, a fatal problem does not stop the reading, so that all problems
        are found; if not, it raises UserError at once.
    command: lists all problems of a source; for error messages.
    """

    def __init__(
        self,
        source: str,
        on_problem: Callable[[Problem], None] | None = None,
        command: str = "python -m trainers.datasets check",
    ) -> None:
        self.source = source
        self._command = command
        self.counts: Counter[str] = Counter()
        self.first: dict[str, Problem] = {}
        self._affected: set[str] = set()
        self._fatal: Problem | None = None
        self.on_problem = on_problem

    def add(self, problem: Problem) -> None:
        """Count a problem. Raises UserError if it is fatal and there is no `on_problem`."""
        self.counts[problem.kind] += 1
        self.first.setdefault(problem.kind, problem)
        if problem.image is not None:
            self._affected.add(problem.image)
        if problem.fatal:
            self._fatal = self._fatal or problem
        if self.on_problem:
            self.on_problem(problem)
        elif self._fatal:
            raise UserError(self._fatal_error(self._fatal))

    def within(self, folder: str) -> Problems:
        """A view for a subfolder: it adds problems here, with `folder/` put before their files and images."""

        def pass_on(problem: Problem) -> None:
            image = None if problem.image is None else below(folder, problem.image)
            self.add(replace(problem, where=below(folder, problem.where), image=image))

        return Problems(self.source, pass_on)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Count several problems."""
        for problem in problems:
            self.add(problem)

    @property
    def affected_images(self) -> Collection[str]:
        """Names of the images that are left out or lose a box."""
        return self._affected

    @property
    def affected(self) -> int:
        """Number of images that are left out or lose a box."""
        return len(self._affected)

    def summary(self) -> list[str]:
        """One line for each kind of problem, the most frequent first."""
        return [self._line(kind) for kind, _ in self.counts.most_common()]

    def _line(self, kind: str) -> str:
        count, first = self.counts[kind], self.first[kind]
        return one_line(f"{count} x {kind}, {'first' if count > 1 else 'in'} {first.where}: {first.what}")

    def _fatal_error(self, problem: Problem) -> str:
        return f"{self.source}: {problem.where}: {problem.what}"

    def error(self, images: int) -> str | None:
        """Why the source is unusable: a fatal problem, or more than LIMIT of its `images` affected. None if usable."""
        if self._fatal:
            return self._fatal_error(self._fatal)
        if self.affected <= LIMIT * images:
            return None
        kinds = "; ".join(
            self._line(kind) for kind, _ in self.counts.most_common() if self.first[kind].image is not None
        )
        return (
            f"{self.source}: {self.affected} of {images} images have problems, more than the limit of {LIMIT:.0%}: "
            f"{kinds}; run `{self._command} {self.source}` to list them all"
        )

    def raise_if_unusable(self, images: int) -> None:
        """Raise UserError with the text of `error`, if there is one."""
        if error := self.error(images):
            raise UserError(error)


class Examples:
    """The first problems of each kind, and how many there are, in constant memory."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[Problem]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        self._counts[problem.kind] += 1
        kept = self._kinds.setdefault(problem.kind, [])
        if len(kept) < EXAMPLES:
            kept.append(problem)

    @property
    def total(self) -> int:
        """How many problems there are, without the harmless ones."""
        return sum(count for kind, count in self._counts.items() if not self._kinds[kind][0].harmless)

    def lines(self) -> Iterator[str]:
        """The examples: first of what refuses the source, then of what loses labels, the rest, and the harmless."""

        def severity(kind: str) -> tuple[bool, bool, bool, int]:
            some = self._kinds[kind]
            loses = any(problem.image is not None for problem in some)
            return (
                not any(problem.fatal for problem in some),
                not loses,
                some[0].harmless,
                -self._counts[kind],
            )

        for kind in sorted(self._kinds, key=severity):
            yield from map(str, self._kinds[kind])
            if self._counts[kind] > EXAMPLES:
                yield f"  ... {self._counts[kind]} x {kind} in all; --all lists them"
