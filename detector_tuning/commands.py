"""The subcommands of `detector-tuning`: for each its module, which has a `main(arguments)`, and a line for --help."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One subcommand.

    module: has `main(arguments: Sequence[str]) -> int`.
    summary: its line in `detector-tuning --help`.
    only_prints: ends quietly when the reader of its output does (`| head`), as it has nothing to clean up.
    """

    module: str
    summary: str
    only_prints: bool = False

    @property
    def shown_module(self) -> str:
        """What stands after `python -m` for the same command."""
        return self.module.removesuffix(".__main__")


COMMANDS = {
    "run": Command("tuning.run", "search for the best detector that a budget can buy"),
    "train": Command("tuning.train", "train one recipe to its last step"),
    "report": Command("tuning.report", "write a study's report", only_prints=True),
    "compare": Command("tuning.compare", "compare studies", only_prints=True),
    "promote": Command("tuning.promote", "make a study's best detector the champion in MLflow's registry"),
    "ledger": Command("tuning.ledger", "list which trials were stopped early, why, and what that saved"),
    "replay": Command("tuning.replay", "simulate a finished search under other settings"),
    "select": Command(
        "tuning.select", "choose which images of a pool to label next, and take the labels back"
    ),
    "active": Command(
        "tuning.active.__main__", "simulate how many labels a strategy of selection would save"
    ),
    "ablate": Command("tuning.ablate", "train the best trial with each of its choices put back, and compare"),
    "postprocess": Command("tuning.postprocess", "tune score thresholds and suppression on kept detections"),
    "weights": Command(
        "tuning.weights", "list, fetch or verify the published weights from which trials start"
    ),
    "status": Command("tuning.status", "list the searches of a Ray cluster", only_prints=True),
    "attach": Command("tuning.attach", "show a search that runs on a Ray cluster"),
    "stop": Command("tuning.stop", "end a search that runs on a Ray cluster"),
    "serve": Command("serve.run", "serve a detector over HTTP"),
    "detect": Command("serve.detect", "detect objects in a video"),
    "serve-promote": Command("serve.promote", "replace the model of a running server"),
    "latency": Command("serve.latency", "measure how long an exported network takes for an image"),
    "serve-token": Command("serve.token", "add, list and revoke the tokens of a server"),
    "data": Command("trainers.datasets.__main__", "check, describe or convert labelled images"),
    "masks": Command("trainers.segmentation.__main__", "check or describe images with masks"),
    "spaces": Command("search_spaces.__main__", "list the search spaces, or print one"),
}
