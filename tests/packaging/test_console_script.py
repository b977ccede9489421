"""`detector-tuning`: it finds its commands, names them as typed, and needs nothing installed for its own help."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import built
import pytest

import detector_tuning
from detector_tuning.__main__ import main
from detector_tuning.commands import COMMANDS
from trainers.command import Parser

_COMMAND = r"python -m ((?:tuning|serve|trainers|search_spaces)[\w.]*\w)"


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What the console script sets for its process is undone after each test."""
    monkeypatch.setattr(Parser, "shown_as", {})
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def without_packages(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a Python that sees the standard library and the checkout only."""
    words = [sys.executable, "-S", "-m", "detector_tuning", *arguments]
    return subprocess.run(words, cwd=built.ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_needs_nothing_installed():
    done = without_packages("--help")
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in [*COMMANDS, "requirements"])


def test_every_command_that_the_docs_name_is_a_subcommand():
    modules = {command.shown_module for command in COMMANDS.values()}
    pages = [built.ROOT / "README.md", *(built.ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(_COMMAND, page.read_text(encoding="utf-8"))}
    assert named <= modules


def test_the_version_needs_nothing_installed():
    assert without_packages("--version").stdout == f"detector-tuning {detector_tuning.__version__}\n"


def test_a_command_whose_packages_are_missing_says_how_to_install_them():
    done = without_packages("run", "--space", "mobilenet")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the Python package '")
    assert "pip install --no-deps -r requirements.txt" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_names_it_as_it_was_typed(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: detector-tuning {name} ")
    assert "python -m" not in printed


def test_subcommands_of_a_command_are_named_too(capsys):
    with pytest.raises(SystemExit):
        main(["data", "convert", "--help"])
    assert capsys.readouterr().out.startswith("usage: detector-tuning data convert ")


def test_arguments_reach_the_command(capsys):
    assert main(["spaces", "mobilenet", "--format", "json"]) == 0
    assert '"space": "mobilenet"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["repot"], "error: unknown command 'repot'; did you mean report?"),
        (["xyzzy"], "error: unknown command 'xyzzy'; see detector-tuning --help"),
        (["--sapce", "mobilenet"], "error: unknown command '--sapce'"),
    ],
)
def test_an_unknown_command_is_one_line(words, line, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_no_command_at_all_shows_the_help_and_fails(capsys):
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: detector-tuning")
