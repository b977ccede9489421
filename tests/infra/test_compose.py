"""compose.yaml is a valid Compose file, and each file, secret, service and command in it exists."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import stat
from pathlib import Path

import compose_spec
import pytest
import yaml
from draining import drain_seconds

INFRA = Path(__file__).parents[2] / "infra"
DOCKER = INFRA / "docker"


def interpolated(text: str) -> str:
    """With the defaults of its variables, as where none is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load(interpolated((DOCKER / "compose.yaml").read_text()))


@pytest.fixture
def secrets(tmp_path) -> Path:
    make = runpy.run_path(str(INFRA / "make_secrets.py"))["write"]
    assert make(tmp_path / "secrets")
    assert make(tmp_path / "secrets") == []  # never anew: the database keeps the old password
    return tmp_path / "secrets"


def test_it_is_a_compose_file(compose):
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose))
    assert {"head", "worker", "postgresql", "s3", "mlflow", "prometheus", "grafana", "serving"} <= set(
        parsed.service_names()
    )


def test_what_it_mounts_and_waits_for_exists(compose, secrets):
    for each in compose["configs"].values():
        assert (DOCKER / each["file"]).resolve().is_file(), each
    for name, each in compose["secrets"].items():
        assert each["file"] == f"secrets/{name}"
        assert (secrets / name).is_file()
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert {each["source"] for each in service.get("configs", ())} <= set(compose["configs"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in compose["volumes"]


def test_a_service_reads_only_secrets_that_it_is_given(compose):
    for name, service in compose["services"].items():
        words = str(service.get("command", "")) + str(service.get("environment", {}))
        read = set(re.findall(r"/run/secrets/([\w.-]+)", words))
        if name == "mlflow":  # it has the machines' environment, and starts no Ray
            read -= {"pgpass", "auth_token"}
        assert read <= set(service.get("secrets", ())), name


def test_each_of_ours_finds_the_object_store_and_its_region(compose, monkeypatch):
    import boto3

    for name, service in compose["services"].items():
        if not service["image"].startswith("detector-tuning"):
            continue
        with monkeypatch.context() as changed:
            for key in [key for key in os.environ if key.startswith("AWS_")]:
                changed.delenv(key)
            for key, value in service["environment"].items():
                changed.setenv(key, value)
            changed.setenv("AWS_CONFIG_FILE", os.devnull)
            session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b")
            client = session.client("s3")
            region = session.region_name
        assert client.meta.endpoint_url == "http://s3:8333", name
        assert region == service["environment"]["AWS_REGION"]
        assert "MLFLOW_S3_ENDPOINT_URL" not in service["environment"]  # the same in a second place


def test_no_secret_is_on_a_command_line_or_in_the_environment_of_the_file(compose, secrets):
    drawn = {word for path in secrets.iterdir() for word in re.findall(r"[\w-]{24,}", path.read_text())}
    text = (DOCKER / "compose.yaml").read_text()
    assert drawn
    assert not [word for word in drawn if word in text]


def test_ports_are_those_of_this_machine_alone_and_ours_run_without_rights(compose):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        if service["image"].startswith("detector-tuning"):
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["image"].rpartition(":")[2] not in ("", "latest")


@pytest.mark.slow
def test_a_worker_ends_after_what_it_keeps_and_before_docker_kills_it(compose):
    from tuning.execution.worker import KEEP_SECONDS

    worker = compose["services"]["worker"]
    grace = float(worker["stop_grace_period"].removesuffix("s"))
    assert KEEP_SECONDS < drain_seconds(worker["environment"]) < grace


def test_its_searches_and_its_server_are_what_the_commands_understand(compose):
    from serve.run import parser as serving
    from tuning.run import parser as searching

    text = (DOCKER / "compose.yaml").read_text()
    comment = " ".join(line.lstrip("# ").rstrip("\\") for line in text.splitlines() if line.startswith("#"))
    command = comment[comment.index("tuning.run") :].split(" and its best")[0]
    assert searching().parse_args(shlex.split(command)[1:]).storage == "postgresql://tuner@postgresql/studies"
    words = compose["services"]["serving"]["command"][2]
    assert serving().parse_args(shlex.split(words.split("serve.run", 1)[1])).host == "0.0.0.0"
