"""How well a rung tells a trial's final mAP, by what it is judged by: rank correlations over the recorded curves.

    .venv/bin/python tests/benchmarks/rungs.py
    .venv/bin/python tests/benchmarks/rungs.py --curves tests/benchmarks/retinanet_curves.json
        --out tests/benchmarks/results/rungs_retinanet.json

Batch normalisation has the statistics that an evaluation here estimates anew, or the moving averages that training left.
"kept" is the share of the finally best tenth that is among the best third at the rung: what successive halving by 3
would not lose. The search ranks ("here") by mAP and, where that is chance, by the loss of boxes and classes; the parts
of the loss were recorded of the later trials only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainers.detection.task import DETECTION  # noqa: E402
from trainers.metrics import LOSS, TOTAL_LOSS  # noqa: E402
from trainers.objective import Score  # noqa: E402

CURVES = Path(__file__).with_name("mobilenet_curves.json")
OUT = Path(__file__).parent / "results" / "rungs.json"
DRAWS = 2000
OBJECTIVE = DETECTION.objective(None, ())
WAYS = {"estimated anew": "metrics", "moving averages": "moving_averages"}


# what a trial may be judged by; larger is better
KEYS = {
    "mAP": lambda found: found.values[0],
    "mAP50": lambda found: found.values[1],
    "loss": lambda found: -found.values[2],
    "here": lambda found: found.key,
}


def measured(curve: dict[str, Any], step: int, way: str, names: Sequence[str]) -> Score:
    """What the scheduler would compare."""
    at = curve["steps"].index(step)
    return OBJECTIVE.score({name: curve[WAYS[way]][name][at] for name in names})


def correlations(curves: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each rung, way and key: Spearman's correlation with the final mAP, its 95% interval, and `kept`."""
    final = np.array([curve["metrics"]["mAP"][-1] for curve in curves])
    best = set(np.argsort(-final)[: max(1, round(len(curves) / 10))])
    draws = np.random.default_rng(0).integers(0, len(curves), (DRAWS, len(curves)))
    rows = []
    for step in curves[0]["steps"][:-1]:
        for way in WAYS:
            scores = [measured(curve, step, way, names) for curve in curves]
            for name, key in KEYS.items():
                keys = [key(one) for one in scores]
                order = {value: place for place, value in enumerate(sorted(set(keys)))}
                ranks = np.array([order[value] for value in keys])
                spread = [_spearman(ranks[draw], final[draw]) for draw in draws]
                third = set(np.argsort(-ranks, kind="stable")[: len(curves) // 3])
                rows.append(
                    {
                        "step": step,
                        "statistics": way,
                        "judged by": name,
                        "correlation": round(_spearman(ranks, final), 3),
                        "interval": [round(float(q), 3) for q in np.nanpercentile(spread, (2.5, 97.5))],
                        "kept": round(len(best & third) / len(best), 2),
                    }
                )
    return rows


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def main() -> None:
    """Print the table and write the JSON."""
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--curves", type=Path, default=CURVES)
    line.add_argument("--out", type=Path, default=OUT)
    chosen = line.parse_args()
    everything = json.loads(chosen.curves.read_text(encoding="utf-8"))
    curves = [curve for curve in everything if "failed" not in curve]
    later = [curve for curve in curves if f"{LOSS}classification" in curve["metrics"]]
    groups = {
        "the loss with regularization": (curves, ("mAP", "mAP50", TOTAL_LOSS)),
        "the loss of boxes and classes": (later, OBJECTIVE.judged_by),
    }
    result = {}
    for name, (those, names) in groups.items():
        rows = correlations(those, names)
        shown = Table(*rows[0], title=f"{len(those)} of {len(everything)} trials; {name}")
        for row in rows:
            shown.add_row(*map(str, row.values()), end_section=row["judged by"] == "here")
        Console(width=110).print(shown)
        result[name] = {"curves": len(those), "rows": rows}
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
