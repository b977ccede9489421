"""`python -m serve.promote --model FOLDER`: lets another model take over a running server, without a failed request."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from serve.client import Client
from serve.exports.locating import located
from serve.run import TOKEN
from trainers.command import Parser, run
from trainers.errors import UserError


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.promote",
        description="Lets another model take over a running server. With --canary it is tried with a share of the work "
        "first, and rolled back by itself if it fails or finds much more or much less than the present one.",
    )
    add = line.add_argument
    add("--study", help="the best trial of this study")
    add("--studies-dir", type=Path, default=Path("studies"), help="(default: ./studies)")
    add("--model", help="an export's folder, or models:/NAME@ALIAS of MLflow's registry")
    add("--tracking-uri", help="of the MLflow server (default: mlflow.db in the studies' folder)")
    add(
        "--canary",
        type=float,
        default=1.0,
        help="share of the work until it has proved itself (default: 1, at once)",
    )
    add("--images", type=int, default=200, help="images after which a canary is judged (default: 200)")
    add("--errors", type=float, default=0.01, help="share of images that it may fail on (default: 0.01)")
    add("--rate", type=float, default=0.5, help="how far its objects an image may be from the present model's, relative "
        "to them (default: 0.5)")  # fmt: skip
    add("--roll-back", action="store_true", help="take the work from the model that is being tried")
    add("--url", default="http://127.0.0.1:8000", help="of the server (default: http://127.0.0.1:8000)")
    add("--token", help=f"of the server (default: ${TOKEN})")
    add("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 1 if the new model did not take over."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    token = chosen.token or os.environ.get(TOKEN)
    if not token:
        raise UserError(f"give the server's token with --token or in ${TOKEN}")
    client = Client(chosen.url, token)
    if chosen.roll_back:
        client.roll_back()
        print("rolled back")
        return 0
    folder = located(chosen.model, chosen.study, chosen.studies_dir, chosen.tracking_uri).absolute()
    state = client.promote(
        model=str(folder), canary=chosen.canary, images=chosen.images, errors=chosen.errors, rate=chosen.rate
    )
    model = state["candidate"]["model"]
    shown = None
    while True:
        candidate = client.model()["rollout"]["candidate"]
        if candidate is None or candidate["model"] != model:
            raise UserError(f"{model}: another model was promoted meanwhile")
        phase = candidate["phase"]
        if phase != shown:
            print(f"{model}: {phase}" + (f", {candidate['why']}" if candidate["why"] else ""), flush=True)
            shown = phase
        if phase != "loading":
            return 0 if phase in ("promoted", "canary") else 1
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
