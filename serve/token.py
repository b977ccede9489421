"""`python -m serve.token add|list|revoke|webhook-secret`: the secrets of a deployment, while it runs or not."""

from __future__ import annotations

import sys
import time
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from serve.storage.secrets import Secret, SecretFile, SecretRow
from serve.storage.tokens import ALL, NAME, Tokens
from serve.webhooks import signing
from trainers.command import Parser, run
from trainers.errors import UserError

EXAMPLES = """\
examples:
  python -m serve.token add --name dashboard --scopes read --expires 30d     print a new token
  python -m serve.token list                                                 names, scopes and expiry
  python -m serve.token revoke dashboard                                     void it at once
  python -m serve.token webhook-secret                                       print what webhooks are signed with

scopes: read (jobs and results), submit (videos and images), admin (the model)
"""
UNITS = {"m": 60, "h": 3600, "d": 86_400}
MOST_SECONDS = 36_500 * 86_400  # a century: calendars end


def parser() -> Parser:
    """The command line."""
    line = Parser(
        prog="python -m serve.token",
        description="Adds, lists and revokes the tokens of a deployment, and prints the secret of its webhooks. "
        "A running server follows at once.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    line.add_argument("--debug", action="store_true", help="show the traceback of an error")
    line.add_argument(
        "--data",
        type=Path,
        default=Path("serving"),
        metavar="DIR",
        help="as of serve.run (default: ./serving)",
    )
    line.add_argument(
        "--database",
        default="",
        metavar="URL",
        help="that of serve.run with --files, whose tokens are there",
    )
    commands = line.add_subparsers(dest="command", required=True, metavar="add|list|revoke|webhook-secret")
    add = commands.add_parser("add", help="create a token and print it, once")
    add.add_argument("--name", help="for list and revoke (default: token-N)")
    add.add_argument("--scopes", default=",".join(ALL), metavar="A,B", help=f"default: {','.join(ALL)}")
    add.add_argument("--expires", metavar="TIME", help="90m, 12h or 30d from now (default: never)")
    commands.add_parser("list", help="list the tokens")
    revoke = commands.add_parser("revoke", help="void a token")
    revoke.add_argument("name")
    secret = commands.add_parser("webhook-secret", help="print the secret that webhooks are signed with")
    secret.add_argument("--new", action="store_true", help="make another one, which replaces it at once")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    chosen = parser().parse_args(arguments)
    return run(lambda: _main(chosen), chosen.debug)


def _main(chosen: Namespace) -> int:
    tokens = Tokens(_secret(chosen, NAME))
    if chosen.command == "add":
        scopes = [word.strip() for word in chosen.scopes.split(",")]
        print(tokens.add(scopes, name=chosen.name, seconds=_seconds(chosen.expires)))
    elif chosen.command == "revoke":
        tokens.revoke(chosen.name)
        print(f"revoked {chosen.name}")
    elif chosen.command == "webhook-secret":
        print(signing.secret_of(_secret(chosen, signing.NAME), chosen.new))
    else:
        for each in tokens.all():
            print(f"{each.name:<20} {','.join(each.scopes):<20} {_expiry(each.expires)}")
    return 0


def _secret(chosen: Namespace, name: str) -> Secret:
    if chosen.database:
        return _in_database(chosen.database, name)
    if not chosen.data.is_dir():
        raise UserError(f"{chosen.data}: no such folder; give the --data of serve.run, or its --database")
    return SecretFile(chosen.data / name)


def _in_database(url: str, name: str) -> Secret:
    from serve.storage.postgresql import PostgresDatabase  # imports SQLAlchemy
    from tuning.study.storage.postgresql import check_url

    check_url(url, "--database")
    database = PostgresDatabase(url, None)
    if SecretRow(database, NAME).read() is None:
        raise UserError(f"{url}: no tokens are there; a deployment without --files has them in its --data")
    return SecretRow(database, name)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isdecimal() or int(number) == 0:
        raise UserError(f"--expires {text}: must be a number and a unit, as 90m, 12h or 30d")
    if len(number) > 12 or int(number) * UNITS[unit] > MOST_SECONDS:
        raise UserError(f"--expires {text[:20]}: at most 36500d; without --expires a token does not expire")
    return float(number) * UNITS[unit]


def _expiry(expires: float | None) -> str:
    if expires is None:
        return "does not expire"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))
    return f"expired {when}" if expires <= time.time() else f"expires {when}"


if __name__ == "__main__":
    sys.exit(main())
