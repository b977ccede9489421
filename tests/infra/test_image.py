"""The image is built by podman, and in it a search runs, and the quick tests do, as a user without rights.

No registry of images is asked: its base is made from Debian's packages. Running containers takes more rights than some
machines give, so the commands run in a chroot of the image, with the host's network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
BASE, BUNDLE = "docker.io/library/debian:bookworm-slim", "/etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = (
    "HOME=/home/ray",
    "PATH=/opt/venv/bin:/usr/bin:/bin",
    "PYTHONPATH=/app",
    "RAY_USAGE_STATS_ENABLED=0",
)


def run(*line: str) -> str:
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Debian, as its official image is."""
    if os.getuid() != 0 or not shutil.which("podman") or not shutil.which("mmdebstrap"):
        pytest.skip("it takes root, and Debian's packages podman and mmdebstrap")
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    hosts = 'echo 127.0.0.1 localhost > "$1/etc/hosts"'  # which a container's runtime writes
    run(
        "mmdebstrap", "--variant=minbase", "--include=ca-certificates", f"--customize-hook={hosts}", "bookworm",
        str(archive),
    )  # fmt: skip
    run("podman", "import", str(archive), BASE)


@pytest.fixture(scope="module", params=["", "test"], ids=["runtime", "test"])
def image(request: pytest.FixtureRequest, base: None) -> Iterator[Path]:
    """The root folder of a container of the image."""
    target = ["--target", request.param] if request.param else []
    name = f"localhost/detector-tuning:{request.param or 'cpu'}"
    certificates = []
    if Path(BUNDLE).exists():  # those of this machine, which may have a proxy with one of its own
        variables = ("PIP_CERT", "SSL_CERT_FILE")
        certificates = ["--volume", f"{BUNDLE}:{BUNDLE}:ro"]
        certificates += [word for each in variables for word in ("--env", f"{each}={BUNDLE}")]
    run(
        "podman", "build", "--isolation=chroot", "--network=host", *certificates, "--tag", name, *target,
        "--file", "infra/docker/Dockerfile", ".",
    )  # fmt: skip
    container = run("podman", "create", name, "true")
    folder = Path(run("podman", "mount", container))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    os.chown(data, 1000, 1000)
    yield folder
    run("podman", "umount", container)
    run("podman", "rm", container)


def inside(image: Path, folder: str, *command: str) -> str:
    """What a command says that runs in the image as the user 1000, in this folder of it."""
    mounts = " && ".join(f"mount --rbind /{each} {image}/{each}" for each in ("proc", "sys", "dev"))
    line = f'{mounts} && cp /etc/resolv.conf {image}/etc/ && exec chroot --userspec=1000:1000 {image} "$@"'
    words = ["env", "-i", *ENVIRONMENT, "sh", "-c", f'cd {folder} && exec "$@"', "sh", *command]
    return run("unshare", "--mount", "sh", "-c", line, "sh", *words)


def test_a_login_shell_has_what_ray_up_runs(image):
    said = inside(image, "/data", "bash", "--login", "-c", "command -v ray rsync ssh tmux")
    assert said.splitlines() == ["/opt/venv/bin/ray", "/usr/bin/rsync", "/usr/bin/ssh", "/usr/bin/tmux"]


def test_a_search_or_the_quick_tests_run_in_it(image):
    if (image / "app" / "tests").exists():
        said = inside(
            image, "/app", "python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m",
            "not slow and not long", "-p", "no:cacheprovider",
        )  # fmt: skip
        assert " passed" in said
        assert "failed" not in said
        return
    said = inside(
        image, "/data", "python", "-m", "tuning.run", "--space", "mobilenet", "--trials", "2", "--max-steps", "20",
        "--workers", "1",
    )  # fmt: skip
    assert "best        trial" in said
