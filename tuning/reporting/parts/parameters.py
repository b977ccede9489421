"""Parameters: Optuna's importances, slice plots and parallel coordinates of the trials at one rung."""

from __future__ import annotations

import warnings

import optuna

from tuning.reporting import style
from tuning.reporting.context import ReportContext
from tuning.reporting.section import Chart, Section, Table, counted

CREDIBLE = 5  # trials per parameter, for importances to be credible
LISTED, SLICES, AXES = 10, 6, 5  # parameters in the table, with a slice plot, in parallel coordinates
DRAWN = 200  # most trials in a chart


def credible(trials: int, parameters: int) -> bool:
    """Whether there are enough trials to estimate the importances of so many parameters."""
    return trials >= CREDIBLE * parameters


def section(context: ReportContext) -> Section | None:
    """Importances and charts; None until enough trials have been measured."""
    at_rung, found = context.rung_trials, context.importances
    if at_rung is None or not found:
        return None
    names, objective = list(found), context.study.objective.name
    count = len(at_rung.trials)
    target = f"{objective} at {at_rung.step:,} steps"
    text = [
        f"Importance of each parameter for being among the better trials at {at_rung.step:,} steps. It is computed from "
        f"{counted(count, 'trial')}, early-stopped ones included, which have equal budgets there."
    ]
    if not at_rung.informative:
        target = f"share of trials outranked at {at_rung.step:,} steps"
        text.append(
            f"Most trials have a {objective} at chance level there, so they are ordered as the scheduler orders them, "
            "by what breaks ties, among trials with the same loss. Results at this rung only hint at the end of "
            "training."
        )
    if not credible(count, len(found)):
        text.append(
            f"{counted(count, 'trial')} are few for {counted(len(found), 'parameter')}: the importances are rough."
        )
    drawn = list(range(count))
    if count > DRAWN:
        drawn = sorted({*range(DRAWN // 3), *(i * count // DRAWN for i in range(DRAWN))})
        text.append(
            f"The charts show {len(drawn)} of {count:,} trials: the best, and an even sample of the others."
        )
    study = at_rung.optuna_study(drawn, by_standing=not at_rung.informative)
    slices = [
        Chart(_slice(study, name, target), f"{target} by {name}, later trials in red", small=True)
        for name in names[:SLICES]
    ]
    parallel = _parallel(study, names[:AXES], target)
    charts = [*slices, Chart(parallel, "each trial as a line through its values of the parameters")]
    rows = [(name, f"{share:.0%}") for name, share in found.items()]
    left = len(rows) - LISTED
    note = f"{counted(left, 'less important parameter')} in the JSON report." if left > 0 else ""
    importance = Chart(_bars(at_rung.optuna_study(by_standing=True), names), "importance of each parameter")
    return Section(
        "parameters",
        "Parameter importance",
        text,
        [Table(("parameter", "importance"), rows[:LISTED], note)],
        [importance, *charts],
        data={"step": at_rung.step, "trials": count, "importances": found},
    )


def _bars(study: optuna.Study, names: list[str]) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in rung_trials.importances
        figure = style.plain(optuna.visualization.plot_param_importances(study, params=names))
    bars = figure.data[0]
    bars.x, bars.y, bars.text = (
        bars.x[-LISTED:],
        bars.y[-LISTED:],
        bars.text[-LISTED:],
    )  # in ascending order
    figure.update_traces(marker_color=style.COLOURS[0], hovertext=None)
    room = 1.2 * max(bars.x)  # space for the label of the longest bar
    return figure.update_layout(
        showlegend=False, xaxis={"title": "importance", "range": [0, room]}, yaxis_title=None
    )


def _slice(study: optuna.Study, name: str, target: str) -> object:
    figure = style.plain(optuna.visualization.plot_slice(study, params=[name], target_name=target))
    figure.update_layout(margin={"t": 10})
    return figure.update_traces(marker_showscale=False, marker_colorscale=style.SCALE, marker_line_width=0)


def _parallel(study: optuna.Study, names: list[str], target: str) -> object:
    figure = optuna.visualization.plot_parallel_coordinate(study, params=names, target_name=target)
    lower = study.direction == optuna.study.StudyDirection.MINIMIZE
    for line in figure.data[:-1]:  # the last trace is the colour scale
        merit = 1 - line.y[0] if lower else line.y[0]  # lines start at the objective, the largest value at 1
        line.line.color, line.opacity = style.between(merit), 0.4 + 0.5 * merit
    figure.data[-1].marker.update(colorscale=style.SCALE, reversescale=lower, colorbar_thickness=12)
    return style.plain(figure)
