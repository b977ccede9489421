"""--tls-cert and --tls-key: both or neither, and they must fit each other."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serve.deployment.serving import Placement, check_certificate
from serve.run import main
from trainers.errors import UserError


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return files


def test_a_certificate_with_its_key_is_served_by_https(tmp_path):
    certificate, key = pair(tmp_path, "a")
    check_certificate(certificate, key)
    check_certificate(None, None)
    assert Placement("0.0.0.0", 443, 1, 1, 0, None, certificate, key).url == "https://127.0.0.1:443"
    assert Placement("0.0.0.0", 80, 1, 1, 0, None).url == "http://127.0.0.1:80"


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path, capsys):
    (certificate, key), (_, other) = pair(tmp_path, "a"), pair(tmp_path, "b")
    for files in ((certificate, other), (tmp_path / "gone", key), (key, key)):
        with pytest.raises(UserError, match="cannot be used for TLS"):
            check_certificate(*files)
    assert main(["--model", "x", "--tls-cert", str(certificate)]) == 2
    assert "give both --tls-cert and --tls-key" in capsys.readouterr().err
