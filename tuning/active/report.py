"""The report of a simulation: the verdict, the curves, labels saved, each class, and what it took."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from trainers.files import write_bytes, write_text
from tuning.active import picture
from tuning.active.curves import Curves, areas, interval, lead, needed
from tuning.active.outcome import Outcome
from tuning.active.simulation import Simulation, Step
from tuning.active.verdict import shares, verdict
from tuning.reporting import page, style
from tuning.reporting.report import Report
from tuning.reporting.section import Chart, Section, Table, counted, number, with_interval
from tuning.search.limits.budget import duration

PAGE, PICTURE, TABLE = "report.html", "curves.png", "curves.csv"
CLASS = "AP/"  # of a class's metric


@dataclass(frozen=True)
class Reported:
    """What a report is made of. control, metric: names. price_per_hour: of one worker, in any currency."""

    simulation: Simulation
    done: Mapping[Step, Outcome]
    curves: Curves
    control: str
    metric: str
    price_per_hour: float | None = None

    @property
    def compared(self) -> list[str]:
        """The strategies that are compared with the control."""
        return [name for name in self.curves.values if name != self.control]

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each of them."""
        return [verdict(self.curves, name, self.control, self.metric) for name in self.compared]


def write(reported: Reported) -> list[Path]:
    """Write report.html, curves.png and curves.csv into the simulation's folder; returns their paths."""
    folder = reported.simulation.folder
    made = [folder / name for name in (PAGE, PICTURE, TABLE)]
    write_text(made[0], page.render(_report(reported)))
    write_bytes(made[1], picture.draw(reported.curves, folder.name, reported.metric))
    write_text(made[2], table(reported.curves, reported.metric))
    return made


def table(curves: Curves, metric: str) -> str:
    """The curves as CSV: strategy, seed, labels, metric."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(("strategy", "seed", "labels", metric))
    for name, values in curves.values.items():
        for seed, row in enumerate(values.tolist()):
            rows.writerows((name, seed, *each) for each in zip(curves.labels.tolist(), row, strict=True))
    return file.getvalue()


def _report(reported: Reported) -> Report:
    parts = (_curves, _saved, _classes, _cost)
    strategies = ", ".join(reported.compared)
    return Report(
        study=reported.simulation.folder.name,
        headline=" ".join(reported.verdicts),
        subtitle=f"{strategies} against {reported.control}, {counted(reported.curves.seeds, 'seed')}",
        commands=(),
        generated=time.strftime("%Y-%m-%d %H:%M"),
        sections=tuple(part(reported) for part in parts),
    )


def _curves(reported: Reported) -> Section:
    curves, metric = reported.curves, reported.metric
    figure = style.figure("labelled images", metric)
    numbers = curves.labels.tolist()
    for place, (name, values) in enumerate(curves.values.items()):
        line = {"color": style.colour(place)}
        mean = values.mean(axis=0).tolist()
        figure.add_trace(
            go.Scatter(x=numbers, y=mean, name=style.text(name), line=line, mode="lines+markers")
        )
        if low_high := picture.band(values):
            low, high = low_high
            around = {"x": numbers + numbers[::-1], "y": high + low[::-1], "fill": "toself"}
            figure.add_trace(
                go.Scatter(
                    **around, fillcolor=style.colour(place), opacity=0.2, line={"width": 0}, mode="lines",
                    hoverinfo="skip", showlegend=False,
                )
            )  # fmt: skip
    rows = []
    for name, values in curves.values.items():
        ends = [each and each.clip(0, 1) for each in map(interval, values.T)]
        means = values.mean(axis=0).tolist()
        rows.append((name, *(with_interval(*each) for each in zip(means, ends, strict=True))))
    text = [
        f"Means over {counted(curves.seeds, 'seed')} and their 95% intervals. All strategies of a seed begin with the "
        "same images and the same network."
    ]
    simulation = reported.simulation
    if simulation.search_every:
        text.append(
            f"From cycle 0 on, every {counted(simulation.search_every, 'cycle')} the recipe is the best of "
            f"{simulation.search_trials} on the validation images, the same candidates for each strategy: each of these "
            "points is the best of several trainings, and a little too high."
        )
    columns = ("strategy", *(f"{count} labels" for count in numbers))
    chart = Chart(figure, f"{metric} of each strategy by labelled images")
    return Section("curves", "Learning curves", text, [Table(columns, rows)], [chart])


def _saved(reported: Reported) -> Section:
    curves, control = reported.curves, reported.control
    rows = []
    for name in reported.compared:
        for place in range(1, len(curves.labels)):
            found = needed(curves, name, control, place)
            with_ = "not reached" if found.labels is None else f"{found.labels:.0f}"
            saved = "" if found.labels is None else f"{found.control - found.labels:.0f}"
            between = "" if found.fewest is None else shares(found)
            rows.append((name, number(found.level), str(found.control), with_, saved, between))
    of_curve = []
    for name in curves.values:
        ahead = None if name == control else lead(curves, name, control)
        shown = "" if ahead is None else f"{ahead.value:+.3f} ({ahead.low:+.3f} to {ahead.high:+.3f})"
        of_curve.append((name, number(float(areas(curves, name).mean())), shown))
    level = f"{control}'s {reported.metric}"
    columns = ("strategy", level, f"labels of {control}", "labels needed", "saved", "share, 95%")
    means = ("strategy", f"mean {reported.metric} along the curve", f"ahead of {control}, 95%")
    text = ["An interval holds every number of labels whose difference to the control is not significant."]
    return Section("saved", "Labels saved", text, [Table(columns, rows), Table(means, of_curve)])


def _classes(reported: Reported) -> Section:
    simulation, rows = reported.simulation, []
    last: dict[str, list[Mapping[str, float]]] = {name: [] for name in reported.curves.values}
    for step, outcome in reported.done.items():
        if step.cycle == simulation.cycles and step.strategy in last and not outcome.failure:
            last[step.strategy].append(outcome.metrics)
    some = next(iter(last.values()))[0]
    names = [metric for metric in some if metric.startswith(CLASS)]
    for metric in names:
        means = [float(np.mean([each[metric] for each in found])) for found in last.values()]
        rows.append((metric.removeprefix(CLASS), *map(number, means)))
    columns: Sequence[str] = ("class", *last)
    text = [f"AP of each class after the last cycle, {simulation.labels[-1]} labels, mean over seeds."]
    return Section("classes", "Classes", text, [Table(columns, rows)])


def _cost(reported: Reported) -> Section:
    rows, price = [], reported.price_per_hour
    for name in (None, *reported.simulation.strategies):
        found = [outcome for step, outcome in reported.done.items() if step.strategy == name]
        if not found:
            continue
        seconds = sum(outcome.seconds for outcome in found)
        parts = [
            sum(getattr(each, part) for each in found) for part in ("seconds_training", "seconds_selecting")
        ]
        row = (name or "first trainings, shared", str(len(found)), *map(duration, (seconds, *parts)))
        rows.append(row if price is None else (*row, f"{seconds / 3600 * price:.2f}"))
    columns = ("strategy", "trainings", "worker time", "in gradient steps", "choosing images")
    failed = sum(bool(outcome.failure) for outcome in reported.done.values())
    text = [f"{counted(failed, 'training')} failed; their seeds are left out."] if failed else []
    return Section("cost", "Cost", text, [Table(columns if price is None else (*columns, "cost"), rows)])
