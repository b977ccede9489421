"""The Dockerfile is built from files that exist, with the uv of the Makefile, as a user without rights."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "infra" / "docker" / "Dockerfile").read_text())
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def test_what_is_copied_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = [
        word
        for step, rest in STEPS
        if step == "COPY" and "--from" not in rest
        for word in shlex.split(rest)[:-1]
        if not word.startswith("--")
    ]
    assert {"tuning", "serve", "requirements.lock"} <= set(copied)
    for word in copied:
        assert (ROOT / word).exists()
        assert word == "." or word.split("/")[0] in allowed, word


def test_uv_is_that_of_the_makefile():
    version = re.search(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert ["ARG", f"UV_VERSION={version[1]}"] in STEPS


def test_every_package_has_a_hash_in_the_lock():
    for accelerator, lock in (("cpu", "requirements.lock"), ("cuda", "requirements-cuda.lock")):
        wanted = (ROOT / "detector_tuning" / f"requirements-{accelerator}.txt").read_text().splitlines()
        locked = {line.split(" ;")[0].split(" \\")[0] for line in (ROOT / lock).read_text().splitlines()}
        missing = {line.split(" ;")[0] for line in wanted if line and not line.startswith("#")} - locked
        assert not missing


@pytest.mark.parametrize("name", ["runtime", "test"])
def test_it_runs_as_a_user_without_rights(name):
    stages = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]
    runtime = next(stage for stage in stages if stage.splitlines()[0].endswith(" AS runtime"))
    assert re.search(r"^USER 1000$", runtime, re.MULTILINE)
    if name == "test":
        test = next(stage for stage in stages if stage.splitlines()[0].endswith(" AS test"))
        assert test.startswith("runtime ")
        assert "USER" not in test


def test_it_has_the_programs_that_ray_up_runs_in_it():
    installed = {
        word for step, rest in STEPS if step == "RUN" and "apt-get install" in rest for word in rest.split()
    }
    assert {"openssh-client", "rsync", "tmux"} <= installed


def test_login_shells_find_the_environment(tmp_path):
    """Debian's /etc/profile sets PATH anew, and reads the files of /etc/profile.d after that."""
    [line] = [rest for step, rest in STEPS if step == "RUN" and "/etc/profile.d/" in rest]
    subprocess.run(["sh", "-c", line.replace("/etc/profile.d", str(tmp_path))], check=True)
    [read] = tmp_path.glob("*.sh")
    line = f'PATH=/usr/local/bin:/usr/bin:/bin; . {read}; sh -c "echo \\$PATH"'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"
