"""Where a webhook may go: public addresses over HTTPS, and hosts that the operator allows. It keeps a client from
making the server call what only the server can reach."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from serve.errors import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NoHost(Refused):
    """The URL's host is not found now. It may be later: that of a container that is being restarted has no name."""


@dataclass(frozen=True)
class Target:
    """A checked URL, in ASCII: its host in the form of IDNA, its path with its query percent-encoded.

    address: to connect to, so that a second look-up cannot lead elsewhere.
    """

    scheme: str
    host: str
    port: int
    address: str
    path: str

    @property
    def authority(self) -> str:
        """For the header Host."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return name if self.port == usual else f"{name}:{self.port}"


def resolve(url: str, allowed: Sequence[str] = ()) -> Target:
    """Check the URL and look its host up.

    allowed: hosts, as NAME or NAME:PORT, that may have a private address and be called without TLS.
    Raises Refused: 422 when the URL is not one that may be called (NoHost when its host is not found), 503 when its host
    cannot be looked up now.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        raise Refused(422, "webhook: not a valid URL") from None
    if not host or not url.isprintable() or " " in url or parts.scheme not in ("https", "http"):
        raise Refused(422, "webhook: must be a URL like https://example.org/hook")
    host = _idna(host)
    known = bool({host, f"{host}:{port}"} & {_idna(each.lower()) for each in allowed})
    if parts.scheme == "http" and not known:
        raise Refused(422, "webhook: must be https, except for hosts that the server allows (--webhook-host)")
    if parts.username is not None or parts.password is not None:
        raise Refused(422, "webhook: must not contain a user name or password")
    addresses = _addresses(host, port)
    if not known and not all(map(is_public, addresses)):
        raise Refused(
            422, f"webhook: {host} has a private address, which this server allows with --webhook-host"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, str(addresses[0]), _percent_encoded(path))


def is_public(address: Address) -> bool:
    """Whether the address, and an IPv4 address inside it, is one of the public internet."""
    inner: Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _idna(host: str) -> str:
    """A name in ASCII; one that cannot be a host's as it is, of which the look-up says so."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _percent_encoded(path: str) -> str:
    """The path with its characters beyond ASCII encoded; what is ASCII stays as it is, as %20."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: quote(found[0]), path)


def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Refused(503, f"webhook: {host} cannot be looked up now", retry_after=30) from None
        raise NoHost(422, f"webhook: there is no host {host}") from None
    except UnicodeError:
        raise Refused(422, f"webhook: there is no host {host}") from None
    except OSError:
        raise NoHost(422, f"webhook: there is no host {host}") from None
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
