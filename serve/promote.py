"""`python -m serve.promote --model FOLDER`: replaces the model of a running server, without a failed request."""

from __future__ import annotations

import sys
import time
from argparse import SUPPRESS, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

from serve.client import DEFAULT_URL, TOKEN_VARIABLE, Client, connect
from serve.exports.locating import add_flags, located
from trainers.command import Parser, run
from trainers.errors import UserError

EXAMPLES = """\
examples:
  python -m serve.promote --study next                     replace the model as soon as the new one is loaded
  python -m serve.promote --study next --canary 0.1        try the new model on a tenth of the work first
  python -m serve.promote --rollback                       cancel that, or return to the model before

A canary is promoted or rolled back automatically. Meanwhile some images of each job go through both models: it is
rolled back if it finds fewer or more objects in the same images than --fewer and --more allow, or fails too often.
"""


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.promote",
        description="Replaces the model of a running server.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_flags(line, "new model")
    add = line.add_argument_group("rollout").add_argument
    add(
        "--canary",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the work at first (default: 1, all at once)",
    )
    add("--images", type=int, default=200, metavar="N", help="judge it after N images (default: 200)")
    add("--jobs", type=int, default=20, metavar="N", help="and after N jobs (default: 20)")
    add(
        "--errors",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="share of images that may fail (default: 0.01)",
    )
    add(
        "--fewer",
        type=float,
        default=0.15,
        metavar="SHARE",
        help="share of objects by which it may find fewer (default: 0.15)",
    )
    add(
        "--more",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of objects by which it may find more (default: 0.5)",
    )
    add("--rate", type=float, help=SUPPRESS)  # before, one bound for both directions
    add(
        "--rollback",
        action="store_true",
        help="cancel the rollout in progress, or return to the model before",
    )
    add("--roll-back", action="store_true", dest="rollback", help=SUPPRESS)  # the spelling before
    add = line.add_argument_group("server").add_argument
    add("--url", default=DEFAULT_URL, help=f"default: {DEFAULT_URL}")
    add("--token", help=f"its token (default: ${TOKEN_VARIABLE})")
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 1 if the new model was not promoted."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    client = connect(chosen.url, chosen.token)
    if chosen.rollback:
        client.roll_back()
        print("rolled back")
        return 0
    folder = located(
        chosen.model, chosen.study, chosen.studies_dir, chosen.tracking_uri, chosen.threshold_for
    ).absolute()
    state = client.promote(
        model=str(folder), canary=chosen.canary, images=chosen.images, errors=chosen.errors, jobs=chosen.jobs,
        fewer=chosen.fewer, more=chosen.more, rate=chosen.rate,
    )  # fmt: skip
    return _follow(client, state["candidate"]["model"])


def _follow(client: Client, model: str) -> int:
    """Print the phases of the rollout until the model is loaded or has failed; the exit code."""
    shown = None
    while True:
        candidate = client.model()["rollout"]["candidate"]
        if candidate is None or candidate["model"] != model:
            raise UserError(f"{model}: replaced by the rollout of another model")
        phase = candidate["phase"]
        if phase != shown:
            print(f"{model}: {phase}" + (f", {candidate['why']}" if candidate["why"] else ""), flush=True)
            shown = phase
        if phase != "loading":
            return 0 if phase in ("promoted", "canary") else 1
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
