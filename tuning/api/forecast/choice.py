"""What is known of a sampler and a scheduler at a budget, by the table in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping

# mean normalised regret on twelve tabular tasks, one trial at a time, after so many full trainings: 0 is the best
# recipe, 1 a typical one after its first evaluation. `full` is without early stopping; TPE is Optuna's own there.
REGRET: Mapping[tuple[str, str], Mapping[int, float]] = {
    ("tpe", "promote"): {5: 0.35, 10: 0.18, 20: 0.09},
    ("tpe", "full"): {5: 0.73, 10: 0.58, 20: 0.29},
    ("random", "full"): {5: 0.69, 10: 0.60, 20: 0.42},
}
FEWEST = min(REGRET["tpe", "promote"])


def line(sampler: str, scheduler: str, trainings: float) -> str:
    """A line for the user. trainings: gradient steps of the search, in full-length trials."""
    if trainings < FEWEST / 2:
        return f"choice   {sampler}, {scheduler}; nothing is measured for so few trainings"
    budget = min(REGRET["tpe", "promote"], key=lambda each: abs(each - trainings))
    (name, way), best = min(
        ((pair, by_budget[budget]) for pair, by_budget in REGRET.items()), key=lambda each: each[1]
    )
    own = REGRET.get((sampler, scheduler), {}).get(budget)
    where = f"after {budget} trainings of tabular tasks (docs/benchmarks.md)"
    if (sampler, scheduler) == (name, way):
        others = ", ".join(
            f"{a} with {b} {found[budget]:.2f}" for (a, b), found in REGRET.items() if b != way
        )
        return f"choice   {sampler}, {scheduler}: regret {best:.2f} {where}; {others}"
    measured = "not measured" if own is None else f"regret {own:.2f}"
    return f"choice   {sampler}, {scheduler}: {measured}; {name} with {way} had {best:.2f} {where}"
