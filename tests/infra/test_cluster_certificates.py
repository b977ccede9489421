"""Machines of one cluster accept each other's certificates, and no others; the authority is drawn once."""

from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "certificates.py"


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )


def made(folder: Path) -> Path:
    """A machine of a cluster of its own."""
    for kind in ("authority", "machine"):
        done = run(kind, folder)
        assert done.returncode == 0, done.stderr
    return folder


def context(folder: Path, of: int, authority: Path | None = None) -> ssl.SSLContext:
    """As Ray's processes have it: both sides show a certificate, and check the other's."""
    found = ssl.SSLContext(of)
    found.load_cert_chain(folder / "machine.crt", folder / "machine.key")
    found.load_verify_locations((authority or folder) / "ca.crt")
    found.verify_mode = ssl.CERT_REQUIRED
    return found


def shake(server: ssl.SSLContext, client: ssl.SSLContext, address: str) -> None:
    """A handshake without sockets. Raises ssl.SSLError where one side does not accept the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=address)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [here, there]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting


def test_machines_of_one_cluster_accept_each_other_by_address(tmp_path):
    folder = made(tmp_path)
    server, client = context(folder, ssl.PROTOCOL_TLS_SERVER), context(folder, ssl.PROTOCOL_TLS_CLIENT)
    shake(server, client, "127.0.0.1")
    shake(server, client, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '192\.0\.2\.1'"):
        shake(server, client, "192.0.2.1")


def test_a_machine_of_another_cluster_is_refused(tmp_path):
    ours, theirs = made(tmp_path / "ours"), made(tmp_path / "theirs")
    server = context(ours, ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, context(theirs, ssl.PROTOCOL_TLS_CLIENT), "127.0.0.1")
    believing = context(theirs, ssl.PROTOCOL_TLS_CLIENT, authority=ours)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, believing, "127.0.0.1")


def test_keys_are_for_their_owner_alone_and_the_authority_is_drawn_once(tmp_path):
    folder = made(tmp_path / "tls")
    for name in ("ca.key", "machine.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    before = (folder / "ca.key").read_bytes()
    assert "has its authority" in run("authority", folder).stdout
    assert (folder / "ca.key").read_bytes() == before


def test_without_an_authority_there_is_no_certificate(tmp_path):
    done = run("machine", tmp_path)
    assert done.returncode == 2
    assert done.stderr == (f"{tmp_path}: has no ca.key; make it with: certificates.py authority {tmp_path}\n")
    assert list(tmp_path.iterdir()) == []
