"""The cluster's file is one that Ray accepts; the stack is made in a CloudFormation, and its roles may do little."""

from __future__ import annotations

import copy
import os
import subprocess
from pathlib import Path

import boto3
import pytest
import yaml

pytestmark = pytest.mark.slow
AWS = Path(__file__).parents[2] / "infra" / "aws"
CLUSTER = yaml.safe_load((AWS / "cluster.yaml").read_text())


def test_ray_accepts_the_cluster():
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(CLUSTER)))
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(copy.deepcopy(CLUSTER) | {"max_worker": 8}))


def test_workers_are_spot_without_a_public_address_and_the_head_is_on_demand():
    kinds = CLUSTER["available_node_types"]
    head, worker = kinds["head"]["node_config"], kinds["gpu-spot"]["node_config"]
    assert "InstanceMarketOptions" not in head
    assert worker["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert kinds["gpu-spot"]["min_workers"] == 0
    assert all(subnet.startswith("PRIVATE") for subnet in worker["SubnetIds"])
    for each in (head, worker):
        assert each["MetadataOptions"]["HttpTokens"] == "required"
        assert each["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_each_machine_has_its_certificate_before_ray_starts_with_tls():
    options = dict(
        option.removeprefix("--env ").split("=")
        for option in CLUSTER["docker"]["run_options"]
        if option.startswith("--env ")
    )
    assert options["RAY_USE_TLS"] == "1"
    files = set(CLUSTER["file_mounts"]) | {"/data/tls/machine.crt", "/data/tls/machine.key"}
    assert {value for name, value in options.items() if name.startswith("RAY_TLS")} <= files
    for commands in (CLUSTER["head_start_ray_commands"], CLUSTER["worker_start_ray_commands"]):
        made = commands.index("python /data/certificates.py machine /data/tls")
        assert made < next(place for place, each in enumerate(commands) if "ray start" in each)


def test_folders_into_which_files_are_mounted_are_those_of_the_containers_user(tmp_path):
    """Docker would make them as root's."""
    [volume] = [each for each in CLUSTER["docker"]["run_options"] if each.startswith("--volume")]
    host, inside = volume.split()[1].split(":")
    [command] = [each for each in CLUSTER["initialization_commands"] if "mkdir" in each]
    assert f"chown -R 1000:1000 {host}" in command
    (tmp_path / "sudo").write_text('#!/bin/sh\n[ "$1" = chown ] || exec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    made = command.replace(host, f"{tmp_path}/data")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", made], env={"PATH": path}, check=True)
    for mounted in CLUSTER["file_mounts"]:
        assert (tmp_path / "data" / Path(mounted).relative_to(inside)).parent.is_dir(), mounted


def test_a_new_account_may_start_spot_instances():
    assert (
        "create-service-linked-role --aws-service-name spot.amazonaws.com" in (AWS / "README.md").read_text()
    )


def test_each_placeholder_is_an_output_of_the_stack_or_the_image(stack):
    def words(node):
        if isinstance(node, dict):
            return [word for value in node.values() for word in words(value)]
        return [word for value in node for word in words(value)] if isinstance(node, list) else [node]

    given = words(CLUSTER["available_node_types"])
    wanted = {word for word in given if isinstance(word, str) and "_" in word and word.isupper()}
    outputs = {"".join(f"_{c}" if c.isupper() else c for c in name).lstrip("_").upper() for name in stack}
    assert wanted - {"AMI_DEEP_LEARNING_BASE"} <= outputs
    assert len(wanted) == 8


def test_cfn_lint_finds_nothing_to_say():
    from cfnlint.api import ManualArgs, lint

    found = lint((AWS / "network.yaml").read_text(), config=ManualArgs(regions=["us-east-1"]))
    assert not found, [str(each) for each in found]


@pytest.fixture(scope="module")
def stack():
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("cloudformation", region_name="us-east-1")
        client.create_stack(
            StackName="detector-tuning",
            TemplateBody=(AWS / "network.yaml").read_text(),
            Parameters=[{"ParameterKey": "HomeAddress", "ParameterValue": "203.0.113.7/32"}],
            Capabilities=["CAPABILITY_IAM"],
        )
        made = client.describe_stacks(StackName="detector-tuning")["Stacks"][0]
        yield {each["OutputKey"]: each["OutputValue"] for each in made["Outputs"]}


def test_workers_subnets_give_no_public_address_and_ssh_is_open_to_home_alone(stack):
    ec2 = boto3.client("ec2", region_name="us-east-1")
    private = ec2.describe_subnets(SubnetIds=[stack["PrivateSubnetA"], stack["PrivateSubnetB"]])["Subnets"]
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in private)
    groups = ec2.describe_security_groups(GroupIds=[stack["HeadSecurityGroup"], stack["WorkerSecurityGroup"]])
    open_to = [
        (rule.get("FromPort"), span["CidrIp"])
        for group in groups["SecurityGroups"]
        for rule in group["IpPermissions"]
        for span in rule["IpRanges"]
    ]
    assert open_to == [(22, "203.0.113.7/32")]


def statements(stack, profile: str) -> list[dict]:
    iam = boto3.client("iam", region_name="us-east-1")
    role = iam.get_instance_profile(InstanceProfileName=stack[profile].rpartition("/")[2])
    name = role["InstanceProfile"]["Roles"][0]["RoleName"]
    found = []
    for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)
        found += document["PolicyVersion"]["Document"]["Statement"]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = str(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
        found += yaml.safe_load(document)["Statement"]  # moto gives it as Python's text
    return found


def actions(found: list[dict]) -> set[str]:
    return {
        action
        for each in found
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }


def test_roles_may_do_what_a_search_does_and_no_more(stack):
    worker, head = statements(stack, "WorkerInstanceProfile"), statements(stack, "HeadInstanceProfile")
    assert {action.split(":")[0] for action in actions(worker)} == {"s3", "ecr"}
    assert {action.split(":")[0] for action in actions(head)} == {"s3", "ecr", "ec2", "iam"}
    assert not [action for action in actions(head) if "*" in action]
    for each in head:
        of = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
        if each["Resource"] == "*":  # those that have no narrower one
            assert all(
                action.startswith("ec2:Describe") or action == "ecr:GetAuthorizationToken" for action in of
            )
        if set(of) & {"ec2:TerminateInstances", "iam:PassRole"}:
            assert each["Condition"]
