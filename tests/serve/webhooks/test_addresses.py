"""A webhook goes to public addresses by HTTPS, and elsewhere only where the operator allows it."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from serve.errors import Refused
from serve.webhooks import addresses
from serve.webhooks.addresses import is_public, resolve

PRIVATE = (
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_only_the_server_can_reach_is_refused(address):
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(Refused, match="has a private address") as error:
        resolve(f"https://{host}/hook")
    assert error.value.status == 422


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
)
def test_an_address_of_the_public_internet_is_allowed(address):
    host = f"[{address}]" if ":" in address else address
    target = resolve(f"https://{host}/a/hook?key=1")
    assert (target.address, target.port, target.path, target.authority) == (
        address,
        443,
        "/a/hook?key=1",
        host,
    )


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
def test_another_spelling_of_a_private_address_is_refused(host):
    with pytest.raises(Refused, match="private address"):
        resolve(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/", "must be a URL like"),
        ("https:///path", "must be a URL like"),
        ("file:///etc/passwd", "must be a URL like"),
        ("https://example.org/\r\nX: y", "must be a URL like"),
        ("https://[::1/", "not a valid URL"),
        ("https://example.org:99999/", "not a valid URL"),
        ("http://example.org/", "must be https"),
        ("https://user:word@example.org/", "must not contain a user name"),
        ("https://a..b/", "there is no host"),
    ],
)
def test_another_url_is_refused_with_the_reason(url, says):
    with pytest.raises(Refused, match=says) as error:
        resolve(url)
    assert error.value.status == 422


def test_a_host_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", "10.0.0.1")
    ]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args, **kwargs: found)
    with pytest.raises(Refused, match="private address"):
        resolve("https://example.org/")


@pytest.mark.parametrize("allowed", ["localhost", "LOCALHOST:8080"])
def test_an_allowed_host_may_be_private_and_without_tls(allowed):
    target = resolve("http://localhost:8080/hook", (allowed,))
    assert (target.scheme, target.port, target.authority) == ("http", 8080, "localhost:8080")
    with pytest.raises(Refused):
        resolve("http://127.0.0.1:8080/hook", (allowed,))
    if ":" in allowed:
        with pytest.raises(Refused):
            resolve("http://localhost:22/hook", (allowed,))
