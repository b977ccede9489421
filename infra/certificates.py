"""TLS between Ray's processes: a cluster's own authority, and a certificate for each of its machines.

    .venv/bin/python infra/certificates.py authority FOLDER     ca.crt and ca.key, once, on the machine that starts it
    python certificates.py machine FOLDER                       machine.crt and machine.key, on each machine, from those

Ray's processes prove to each other that the cluster's authority has signed them, and encrypt what they say
(https://docs.ray.io/en/latest/ray-core/configure.html#tls-authentication). They address each other by IP address, so a
certificate names those of its machine.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import sys
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 3650
NAME = "detector-tuning"


def authority(folder: Path) -> bool:
    """Draw the authority's key and certificate into `folder`, unless they are there. Returns whether they were drawn."""
    if (folder / "ca.key").exists():
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, name = _new_key(), _name(NAME)
    made = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    _write(folder / "ca", key, made.sign(key, hashes.SHA256()))
    return True


def machine(folder: Path) -> list[str]:
    """Write this machine's key, and its certificate by the authority in `folder`. Returns its names and addresses."""
    signed_by = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    signing = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    names = list(dict.fromkeys(("localhost", socket.gethostname())))
    addresses = addresses_here()
    alternatives = [x509.DNSName(each) for each in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    key = _new_key()
    made = _builder(_name(names[-1][:64]), signed_by.subject, key).add_extension(
        x509.SubjectAlternativeName(alternatives), critical=False
    )
    _write(folder / "machine", key, made.sign(signing, hashes.SHA256()))
    return [*names, *addresses]


def addresses_here() -> list[str]:
    """The IP addresses of this machine, the loopback interface's among them."""
    found = [each.address.partition("%")[0] for all_ in psutil.net_if_addrs().values() for each in all_
             if each.family in (socket.AF_INET, socket.AF_INET6)]  # fmt: skip
    return sorted({"127.0.0.1", *found})


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )  # fmt: skip


def _write(place: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place.with_suffix(".key").touch(mode=0o600)
    place.with_suffix(".key").write_bytes(private)
    place.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("authority", "machine"):
        print("give authority FOLDER or machine FOLDER", file=sys.stderr)
        sys.exit(2)
    where = Path(sys.argv[2])
    if sys.argv[1] == "authority":
        print(f"made {where}/ca.crt and ca.key" if authority(where) else f"{where} has its authority")
    elif not (where / "ca.key").exists():
        print(f"{where}: has no ca.key; make it with: certificates.py authority {where}", file=sys.stderr)
        sys.exit(2)
    else:
        print(f"{where}/machine.crt is of {', '.join(machine(where))}")
