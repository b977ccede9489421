"""`detector-tuning COMMAND ...`: the same as `python -m` with the command's module.

Imports nothing but the standard library until a command is chosen, so that --help and --version answer at once, and
so that `requirements` works in an environment that has nothing else installed yet.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import detector_tuning
from detector_tuning import requirements
from detector_tuning.commands import COMMANDS, Command

PROGRAM = "detector-tuning"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen command with the remaining arguments; returns its exit code."""
    name, *remaining = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        print(f"{PROGRAM} {detector_tuning.__version__}")
        return 0
    if name == "requirements":
        return requirements.main(remaining)
    if not name:
        print(_help(), file=sys.stderr)
        return 2
    if name not in COMMANDS:
        print(f"error: {_unknown(name)}", file=sys.stderr)
        return 2
    try:
        return _run(COMMANDS[name], remaining)
    except KeyboardInterrupt:  # while the command's imports are still loading
        print("stopped", file=sys.stderr)
        return 130


def _run(command: Command, arguments: Sequence[str]) -> int:
    try:
        parser: Any = importlib.import_module("trainers.command").Parser
        module: Any = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if "--debug" in arguments:
            raise
        print(
            f"error: the Python package '{error.name}' is not installed; install the tested versions with "
            f"`{PROGRAM} requirements > requirements.txt` and `pip install --no-deps -r requirements.txt`",
            file=sys.stderr,
        )
        return 2
    parser.shown_as = {
        f"python -m {each.shown_module}": f"{PROGRAM} {name}" for name, each in COMMANDS.items()
    }
    if command.only_prints:
        import signal

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    code: int = module.main(arguments)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} [-h] [--version] COMMAND ...",
            "",
            "Hyperparameter search for object detectors.",
            "",
            "commands:",
            *rows,
            f"  {'requirements':<{width}}  {requirements.SUMMARY}",
            "",
            f"`{PROGRAM} COMMAND --help` describes a command.",
        ]
    )


def _unknown(name: str) -> str:
    import difflib

    if near := difflib.get_close_matches(name, [*COMMANDS, "requirements"], n=1, cutoff=0.6):
        return f"unknown command '{name}'; did you mean {near[0]}?"
    return f"unknown command '{name}'; see {PROGRAM} --help"


if __name__ == "__main__":
    sys.exit(main())
