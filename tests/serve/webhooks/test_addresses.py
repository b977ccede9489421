"""A webhook goes to public addresses by HTTPS, and elsewhere only where the operator allows it."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from serve.errors import Refused
from serve.webhooks import addresses
from serve.webhooks.addresses import NoHost, is_public, resolve

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


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.org/hök?x=é", "example.org", "/h%C3%B6k?x=%C3%A9"),
        ("https://bücher.example/a%20b", "xn--bcher-kva.example", "/a%20b"),
        ("https://BÜCHER.example:8443/50%/é%C3%A9?b={c}", "xn--bcher-kva.example", "/50%/%C3%A9%C3%A9?b={c}"),
        ("https://example.org/hook?to=a,b;c=d#part", "example.org", "/hook?to=a,b;c=d"),
    ],
)  # fmt: skip
def test_a_url_beyond_ascii_is_called_by_its_form_in_ascii(monkeypatch, url, host, path):
    asked = []

    def found(name, port, **_):
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", found)
    target = resolve(url)
    assert (target.host, target.path) == (host, path)
    assert asked == [host]
    assert target.authority.isascii()


@pytest.mark.parametrize("allowed", ["bücher.example", "xn--bcher-kva.example", "Bücher.example:443"])
def test_a_host_beyond_ascii_is_allowed_in_either_form(monkeypatch, allowed):
    private = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args, **kwargs: private)
    for url in ("https://bücher.example/", "https://xn--bcher-kva.example/"):
        assert resolve(url, (".no host", allowed)).address == "10.0.0.1"


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), OSError(24, "too many files")]
)
def test_a_host_that_is_not_found_is_refused_as_one_that_may_appear(monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(addresses.socket, "getaddrinfo", fails)
    with pytest.raises(NoHost, match=r"there is no host example\.org") as refused:
        resolve("https://example.org/")
    assert refused.value.status == 422
