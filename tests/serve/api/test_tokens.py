"""Tokens: salted, with scopes and expiry, revocable at once, and readable by their owner only."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import threading

import pytest

from serve.api.app import create_app
from serve.deployment.database import Database
from serve.deployment.preparing import prepare_tokens
from serve.deployment.settings import Settings
from serve.storage.secrets import SecretFile
from serve.storage.tokens import NAME, Tokens
from serve.token import main
from trainers.errors import UserError

GOOD, OTHER = "correct-horse-battery", "another-good-token"


def kept_in(folder):
    return Tokens(SecretFile(folder / NAME))


def test_a_token_is_stored_salted(tmp_path):
    tokens = kept_in(tmp_path)
    for name in "ab":
        tokens.add(token=GOOD, name=name)
    text = (tmp_path / NAME).read_text()
    assert GOOD not in text
    assert hashlib.sha256(GOOD.encode()).hexdigest() not in text
    first, second = tokens.all()
    assert first.digest != second.digest
    assert tokens.scopes(GOOD) == ["read", "submit", "admin"]


def test_the_file_is_never_readable_by_others(tmp_path, monkeypatch):
    modes = []
    real = os.replace

    def watched(*args, **kwargs):
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
        real(*args, **kwargs)

    monkeypatch.setattr(os, "replace", watched)
    before = os.umask(0o022)
    kept_in(tmp_path).add()
    os.umask(before)
    modes.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
    assert modes
    assert set(modes) == {0o600}


def test_a_read_that_lasts_serves_those_who_asked_before_it_and_nobody_later(tmp_path, monkeypatch):
    tokens = kept_in(tmp_path)
    tokens.add(token=GOOD, name="a")
    begun, end = threading.Event(), threading.Event()
    real = SecretFile.read

    def slow(self):
        kept = real(self)
        begun.set()
        assert end.wait(10)
        return kept

    monkeypatch.setattr(SecretFile, "read", slow)

    async def ask():
        before = asyncio.create_task(tokens.current())
        await asyncio.to_thread(begun.wait, 10)
        monkeypatch.setattr(SecretFile, "read", real)
        await asyncio.to_thread(tokens.revoke, "a")
        after = [asyncio.create_task(tokens.current()) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in after)
        after.pop().cancel()  # its client went away, which ends nobody else's read
        end.set()
        assert (await before).find(GOOD)
        for each in after:
            assert (await each).find(GOOD) is None

    asyncio.run(ask())


def test_a_token_expires(tmp_path):
    tokens = kept_in(tmp_path)
    tokens.add(token=GOOD, seconds=-1)
    tokens.add(token=OTHER, seconds=1000)
    assert tokens.scopes(GOOD) is None
    assert tokens.scopes(OTHER) is not None


@pytest.mark.parametrize("weak", ["secret", "aaaaaaaaaaaaaaaaaa", "ababababababab", ""])
def test_a_weak_token_is_refused(weak, tmp_path):
    with pytest.raises(UserError, match="weak"):
        kept_in(tmp_path).add(token=weak)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    "odd", ["ключ-от-сервера", "schlüssel-geheim", f"{GOOD}\n", f" {GOOD}", f"{GOOD}\udcff"]
)
def test_a_token_that_no_header_carries_is_refused(odd, tmp_path):
    with pytest.raises(UserError, match="no header can carry"):
        kept_in(tmp_path).add(token=odd)
    assert not (tmp_path / NAME).exists()
    kept_in(tmp_path).add(token="correct horse battery")


def test_a_new_token_is_generated_beside_the_one_in_the_environment(tmp_path):
    made = prepare_tokens(Settings(data=tmp_path), GOOD, None, new=True)
    tokens = kept_in(tmp_path)
    assert made is not None
    assert tokens.scopes(made) == tokens.scopes(GOOD) == ["read", "submit", "admin"]


def test_another_token_in_the_environment_voids_the_one_before(tmp_path):
    settings = Settings(data=tmp_path)
    prepare_tokens(settings, GOOD, None, new=False)
    prepare_tokens(settings, OTHER, None, new=False)
    tokens = kept_in(tmp_path)
    assert tokens.scopes(GOOD) is None
    assert tokens.scopes(OTHER) is not None


def test_tokens_of_the_first_version_stay_valid_and_can_be_revoked(tmp_path):
    digest = hashlib.sha256(GOOD.encode()).hexdigest()
    (tmp_path / NAME).write_text(json.dumps({"secret": "s", "tokens": {digest: ["read"]}}))
    tokens = kept_in(tmp_path)
    ticket = tokens.now().ticket("job")
    assert tokens.scopes(GOOD) == ["read"]
    tokens.add(token=OTHER)
    assert tokens.scopes(GOOD) == ["read"]
    assert tokens.now().valid_ticket(ticket, "job")
    tokens.revoke("token-1")
    assert tokens.scopes(GOOD) is None


def test_the_command_adds_lists_and_revokes(tmp_path, capsys):
    data = ["--data", str(tmp_path)]
    assert main([*data, "add", "--name", "board", "--scopes", "read,submit", "--expires", "30d"]) == 0
    token = capsys.readouterr().out.strip()
    assert kept_in(tmp_path).scopes(token) == ["read", "submit"]
    assert main([*data, "list"]) == 0
    listed = capsys.readouterr().out
    assert "board" in listed
    assert "read,submit" in listed
    assert token not in listed
    assert main([*data, "revoke", "board"]) == 0
    assert kept_in(tmp_path).scopes(token) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["add", "--scopes", "write"], "unknown scope 'write'; choose from read, submit, admin"),
        (["add", "--expires", "soon"], "--expires soon: must be a number and a unit"),
        (["add", "--expires", "9" * 400 + "d"], "at most 36500d"),
        (["add", "--expires", "99999999999d"], "at most 36500d"),
        (["revoke", "board"], "there is no token called 'board'"),
    ],
)
def test_an_error_of_the_command_is_one_line(words, says, tmp_path, capsys):
    assert main(["--data", str(tmp_path), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_name_is_given_once(tmp_path):
    tokens = kept_in(tmp_path)
    tokens.add(name="board")
    with pytest.raises(UserError, match="there is a token called 'board'"):
        tokens.add(name="board")


def test_no_route_reads_a_body_before_it_knows_the_token(tmp_path):
    Database(tmp_path, create=True)
    kept_in(tmp_path).add(token=GOOD)
    app = create_app(Settings(data=tmp_path), None)
    paths = [
        path
        for path, operations in app.openapi()["paths"].items()
        if "requestBody" in operations.get("post", {})
    ]
    assert {"/v1/jobs", "/v1/uploads", "/v1/model:promote"} <= {*paths}

    async def post(path, body, headers):
        """The status, and how many of 64 parts of the body were read."""
        parts, statuses = iter(range(64)), []

        async def receive():
            number = next(parts)
            return {"type": "http.request", "body": body, "more_body": number < 63}

        async def send(message):
            statuses.append(message.get("status"))

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
            "headers": [(b"content-type", b"application/json"), *headers],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await app(scope, receive, send)
        return statuses[0], 64 - len([*parts])

    stranger, known = [], [(b"authorization", f"Bearer {GOOD}".encode())]
    for path in paths:
        status, read = asyncio.run(post(path, b" " * (1 << 20), stranger))
        assert (status, read) == (401, 0), path
    for path in ("/v1/uploads", "/v1/model:promote", "/v1/batches"):
        status, read = asyncio.run(post(path, b" " * (1 << 20), known))
        assert (status, read) == (413, 2), path
