"""Saved views of MLflow's page: what it shows of a study at one click, instead of one collapsed row without figures.

A view is a tag of the experiment, `mlflow.sharedViewState.<key>`: JSON with a name, times in milliseconds, and the state
of the page (columns, order, filter, charts), compressed as the page itself does. It is in the Views menu, and
`#/experiments/<id>/runs?viewStateShareKey=<key>` opens it. The format is that of MLflow 3.16 and 3.17; a version that
does not know it ignores the tags, and reports a link to one as missing.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainers import task as tasks
from trainers.objective import Objective
from trainers.task import Task
from tuning.study.manifest import Manifest
from tuning.tracking.store import TRIAL, VERDICT, allowed_name

TAG = "mlflow.sharedViewState."
TRIALS, CURVES, DECIDED, GROUPS = "trials", "curves", "what-decided", "classes-and-sizes"
VERSION = 1  # of the views; a study whose note has another one gets them when its command is run again
CURVES_SHOWN, BARS_SHOWN = 10, 50  # runs in a chart
GROUP_CHARTS = 24  # most charts of one table of the task, such as of the AP of each class
LOSSES = ("training_loss/total", "validation_loss/total")
RATE, OPTIMIZER, SCHEDULE = (
    "schedule.base",
    "optimizer.kind",
    "schedule.kind",
)  # parameters that every recipe has


class Section(NamedTuple):
    """A section of charts on the page: its title, the number of columns, and the charts."""

    title: str
    columns: int
    charts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class View:
    """A saved view: its key in links, its name in the menu, and the page's state."""

    key: str
    name: str
    state: Mapping[str, Any]


def of_study(about: Manifest, objective: Objective) -> list[View]:
    """The views of a study."""
    task = tasks.get(about.task)
    return views(objective.name, objective.direction == "minimize", task, about.data["classes"])


def views(objective: str, minimize: bool, task: Task, classes: Sequence[str]) -> list[View]:
    """The views of a study with this objective, on data with these classes."""
    value = allowed_name(objective)
    order = {"orderByKey": _metric(value), "orderByAsc": minimize}
    headline = [allowed_name(name) for name in task.headline if name != objective]
    columns = [
        *(_metric(name) for name in (value, *headline)),
        *(f"params.`{name}`" for name in ("model", OPTIMIZER, RATE)),
        _metric("rung"),
        f"tags.`{VERDICT}`",
        _metric("seconds"),
    ]
    ours = _state(columns) | order
    parameters = {
        "selectedParams": ["model", OPTIMIZER, RATE, SCHEDULE],
        "selectedMetrics": [value],
    }
    scatter = {"xaxis": {"key": RATE, "type": "PARAM"}, "yaxis": {"key": value, "type": "METRIC"}}
    decided = [
        Section("What decided", 1, [_card("PARALLEL", parameters | {"showAllRuns": True})]),
        Section(f"Learning rate against {objective}", 1, [_card("SCATTER", scatter)]),
    ]
    curves = [Section("By step", 2, [_line(value), *map(_line, LOSSES)])]
    groups = [
        Section(
            group.title, 3, [_bar(allowed_name(name)) for name in list(group.metrics.values())[:GROUP_CHARTS]]
        )
        for group in task.groups(classes)
    ]
    found = [
        View(TRIALS, "1 Trials, best first", ours),
        View(
            CURVES,
            f"2 Curves of the best {CURVES_SHOWN}",
            ours | _charts(curves) | {"runsHiddenMode": "FIRST_10_RUNS"},
        ),
        View(DECIDED, "3 What decided", ours | _charts(decided)),
    ]
    if groups:
        found.append(View(GROUPS, "4 Classes and sizes", ours | _charts(groups)))
    return found


def save(client: Any, experiment: str, wanted: Sequence[View]) -> None:
    """Write the views as tags of the experiment; one that a user has saved again under its name is left as it is."""
    tags = client.get_experiment(experiment).tags
    for view in wanted:
        state = _packed(view.state)
        known = _envelope(tags.get(TAG + view.key))
        if known.get("state") == state or known.get("createdAt") != known.get("updatedAt"):
            continue
        now = int(time.time() * 1000)
        envelope = {"name": view.name, "createdAt": now, "updatedAt": now, "state": state}
        client.set_experiment_tag(experiment, TAG + view.key, json.dumps(envelope))


def link(experiment: str, key: str = TRIALS) -> str:
    """The part of a link to a view after the server's address (`mlflow ui`: http://127.0.0.1:5000)."""
    mode = "" if key == TRIALS else "&compareRunsMode=CHART"
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={key}&workflowType=machine_learning{mode}"


def _envelope(tag: str | None) -> dict[str, Any]:
    try:
        found = json.loads(tag or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _packed(state: Mapping[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _state(columns: Sequence[str]) -> dict[str, Any]:
    return {
        "searchFilter": f"tags.`{TRIAL}` LIKE '%'",  # trials, without the study's own run
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnOrder": list(columns),
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _charts(sections: Sequence[Section]) -> dict[str, Any]:
    """The part of a state with these charts."""
    cards: list[dict[str, Any]] = []
    heads: list[dict[str, Any]] = []
    for i, (title, columns, charts) in enumerate(sections):
        place = {"uuid": f"section-{i}", "name": title, "display": True, "isReordered": True}
        heads.append(place | {"deleted": False, "isGenerated": False, "columns": columns})
        cards += [
            {**chart, "uuid": f"chart-{i}-{j}", "metricSectionId": place["uuid"]}
            for j, chart in enumerate(charts)
        ]
    return {"compareRunCharts": cards, "compareRunSections": heads, "isAccordionReordered": True}


def _card(kind: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, "runsCountToCompare": BARS_SHOWN, "deleted": False, "isGenerated": False, **more}


def _bar(metric: str) -> dict[str, Any]:
    return _card("BAR", {"metricKey": metric, "displayName": metric})


def _line(metric: str) -> dict[str, Any]:
    axes = {
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "selectedXAxisMetricKey": "",
        "scaleType": "linear",
        "range": {},
    }
    values = {
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "selectedYAxisMetricKey": "metric",
        "lineSmoothness": 0,
    }
    metrics = {"metricKey": metric, "selectedMetricKeys": [metric], "displayName": metric}
    return _card(
        "LINE", axes | values | metrics | {"runsCountToCompare": CURVES_SHOWN, "displayPoints": True}
    )
