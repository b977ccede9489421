"""How often a canary is judged rightly, in simulated rollouts: 1,000 for each kind of candidate and spread of videos.

    .venv/bin/python tests/benchmarks/serving/canary.py
    .venv/bin/python tests/benchmarks/serving/canary.py --rollouts 100

Prints one line of JSON: for each kind and sigma (of the logarithm of objects per frame, between videos) the share that
was rolled back, and the jobs until the verdict: the median and the largest. tests/serve/canaries.py has the model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2] / "serve"), str(Path(__file__).parents[3])]

from canaries import KINDS, rollout  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rollouts", type=int, default=1000)
    chosen = parser.parse_args()
    rows = []
    for name, kind in KINDS.items():
        for sigma in (0.5, 1.0):
            rng = np.random.default_rng(20)
            results = [rollout(rng, kind, sigma) for _ in range(chosen.rollouts)]
            jobs = [count for _, count in results]
            rows.append(
                {
                    "candidate": name,
                    "sigma": sigma,
                    "rolled_back": sum(not promoted for promoted, _ in results) / len(results),
                    "jobs_median": float(np.median(jobs)),
                    "jobs_95": float(np.quantile(jobs, 0.95)),
                    "jobs_most": max(jobs),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"rollouts": chosen.rollouts, "rows": rows}))


if __name__ == "__main__":
    main()
