"""Parameters: which of them decide, by Optuna's importances, slices and parallel coordinates at one rung."""

from __future__ import annotations

import warnings

import optuna

from tuning.reporting import style
from tuning.reporting.material import Material
from tuning.reporting.section import Chart, Section, Table, counted

CREDIBLE = 5  # trials for each parameter
LISTED, SLICES, AXES = 10, 6, 5  # parameters in the table, in slices, in parallel coordinates
DRAWN = 200  # trials that a chart can carry


def credible(trials: int, parameters: int) -> bool:
    """Whether so many trials can tell the importances of so many parameters."""
    return trials >= CREDIBLE * parameters


def section(material: Material) -> Section | None:
    """What is known of the parameters; nothing before a few trials have been measured."""
    there, found = material.there, material.importances
    if there is None or not found:
        return None
    names, objective = list(found), material.study.objective.name
    count = len(there.trials)
    text = [
        f"From the {objective} of {counted(count, 'trial')} at {there.step:,} steps, early-stopped ones included, "
        "so that budgets are equal: how much each parameter explains of what sets the better trials apart."
    ]
    if not credible(count, len(found)):
        text.append(
            f"{counted(count, 'trial')} are few for {counted(len(found), 'parameter')}: take these as guesses."
        )
    drawn = list(range(count))
    if count > DRAWN:
        drawn = sorted({*range(DRAWN // 3), *(i * count // DRAWN for i in range(DRAWN))})
        text.append(
            f"{len(drawn)} trials of {count:,} are drawn: the best, and an even choice of the others."
        )
    study, target = there.study(drawn), f"{objective} at {there.step:,} steps"
    slices = [
        Chart(_slice(study, name, target), f"{target} by {name}, later trials in red", small=True)
        for name in names[:SLICES]
    ]
    parallel = _parallel(study, names[:AXES], target)
    charts = [*slices, Chart(parallel, "each trial as a line through its values of the parameters")]
    rows = [(name, f"{share:.0%}") for name, share in found.items()]
    left = len(rows) - LISTED
    note = f"{counted(left, 'more parameter')}, each less important, in the JSON report." if left > 0 else ""
    importance = Chart(_bars(there.study(), names), "importance of each parameter")
    return Section(
        "parameters",
        "What decided",
        text,
        [Table(("parameter", "importance"), rows[:LISTED], note)],
        [importance, *charts],
        data={"step": there.step, "trials": count, "importances": found},
    )


def _bars(study: optuna.Study, names: list[str]) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in at_rung.importances
        figure = style.plain(optuna.visualization.plot_param_importances(study, params=names))
    bars = figure.data[0]
    bars.x, bars.y, bars.text = (
        bars.x[-LISTED:],
        bars.y[-LISTED:],
        bars.text[-LISTED:],
    )  # the least come first
    figure.update_traces(marker_color=style.COLOURS[0], hovertext=None)
    room = 1.2 * max(bars.x)  # for the number beside the longest
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
    for line in figure.data[:-1]:  # the last one is the scale
        merit = 1 - line.y[0] if lower else line.y[0]  # the lines begin at the objective, the largest at 1
        line.line.color, line.opacity = style.between(merit), 0.4 + 0.5 * merit
    figure.data[-1].marker.update(colorscale=style.SCALE, reversescale=lower, colorbar_thickness=12)
    return style.plain(figure)
