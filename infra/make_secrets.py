"""Draws the secrets of a cluster: of each one, the folder or Secret that it is in, and its file's name.

    python3 infra/make_secrets.py compose                                      into infra/docker/secrets/, once
    python3 infra/make_secrets.py kubernetes | kubectl apply -f -              Secrets; nothing is written to a disk here

The services of compose.yaml run as users of their own: the files can be read by all, their folder by its owner alone.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "docker" / "secrets"
NAMESPACE = "detector-tuning"
ACCESS_KEY = "detector-tuning"


def draw() -> dict[str, dict[str, str]]:
    """The files of each Secret, newly drawn."""
    database, s3 = secrets.token_hex(24), secrets.token_hex(24)
    identity = {
        "name": ACCESS_KEY,
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": s3}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return {
        "grafana": {"grafana-password": secrets.token_hex(16)},
        "postgresql": {
            "pgpass": f"postgresql:5432:*:tuner:{database}\n",
            "postgresql-password": database,
        },
        "ray-token": {"auth_token": secrets.token_hex(32)},
        "s3": {
            "aws-credentials": f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {s3}\n",
            "s3.json": json.dumps({"identities": [identity]}, indent=2) + "\n",
        },
        "serving": {
            "serve-read-token": secrets.token_urlsafe(32),
            "serve-token": secrets.token_urlsafe(32),
        },
    }


def write(folder: Path) -> list[str]:
    """Write all files, unless there are some already. Returns the names of those that were written."""
    if folder.is_dir() and any(folder.iterdir()):
        return []
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {name: text for each in draw().values() for name, text in each.items()}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
    return list(files)


def manifests() -> str:
    """The Secrets as a Kubernetes list, in JSON. Grafana is not among what kubernetes/ starts."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "type": "Opaque",
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in files.items()},
        }
        for name, files in draw().items()
        if name != "grafana"
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2)


if __name__ == "__main__":
    if sys.argv[1:] == ["compose"]:
        made = write(FOLDER)
        print(f"made {', '.join(made)} in {FOLDER}" if made else f"{FOLDER} has its secrets")
    elif sys.argv[1:] == ["kubernetes"]:
        print(manifests())
    else:
        print("give compose or kubernetes", file=sys.stderr)
        sys.exit(2)
