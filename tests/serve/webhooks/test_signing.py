"""Signatures follow Standard Webhooks, so that a receiver's library for it verifies them."""

from __future__ import annotations

import stat

import pytest

from serve.errors import Refused
from serve.storage.secrets import SecretFile
from serve.token import main
from serve.webhooks.signing import NAME, headers, secret_of, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def test_the_specification_s_own_example_has_this_signature():
    signed = headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, now=1614265330)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    verify(SECRET, signed, BODY, now=1614265330)


@pytest.mark.parametrize(
    ("change", "body", "now"),
    [
        ({}, b"{}", 1000.0),
        ({}, BODY, 1301.0),
        ({}, BODY, 699.0),
        ({"webhook-id": "msg_2"}, BODY, 1000.0),
        ({"webhook-timestamp": "1001"}, BODY, 1000.0),
        ({"webhook-timestamp": ""}, BODY, 1000.0),
        ({"webhook-signature": "v1,AAAA v2,AAAA"}, BODY, 1000.0),
        ({"webhook-signature": ""}, BODY, 1000.0),
        ({"webhook-signature": "v1,é"}, BODY, 1000.0),
        ({"webhook-timestamp": "9" * 5000}, BODY, 1000.0),
    ],
)
def test_a_changed_or_late_message_is_refused(change, body, now):
    signed = headers(SECRET, "msg_1", BODY, now=1000.0)
    verify(SECRET, signed, BODY, now=1299.0)
    with pytest.raises(Refused):
        verify(SECRET, signed | change, body, now)


def test_the_secret_is_made_once_is_its_owner_s_alone_and_can_be_replaced(tmp_path, capsys):
    data = ["--data", str(tmp_path)]
    assert main([*data, "webhook-secret"]) == 0
    first = capsys.readouterr().out.strip()
    assert first.startswith("whsec_")
    assert secret_of(SecretFile(tmp_path / NAME)) == first
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert main([*data, "webhook-secret", "--new"]) == 0
    assert capsys.readouterr().out.strip() == secret_of(SecretFile(tmp_path / NAME)) != first
