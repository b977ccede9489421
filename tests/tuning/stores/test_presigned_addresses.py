"""An address that S3Store signs is one of the bucket's own region, whichever region the environment names."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from moto import mock_aws

from trainers.errors import UserError
from tuning.stores.opening import open_store
from tuning.stores.s3 import S3Store


def made(name, region):
    """A bucket in this region."""
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    boto3.client("s3", region_name=region).create_bucket(Bucket=name, **where)


def signed(url):
    """The host of an address, and the region for which it is signed."""
    return urlsplit(url).netloc, parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2]


@pytest.mark.parametrize("variables", [{}, {"AWS_REGION": "us-west-2"}, {"AWS_DEFAULT_REGION": "us-west-2"}])
def test_an_address_is_signed_for_the_host_of_the_bucket_s_own_region(bucket, monkeypatch, variables):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        made("frankfurt", "eu-central-1")
        store = S3Store("s3://frankfurt/here")
        host = "frankfurt.s3.eu-central-1.amazonaws.com"
        assert signed(store.url("a", 9)) == (host, "eu-central-1")
        assert signed(store.url("a", 9, ("video/mp4", 5))) == (host, "eu-central-1")
        made("with.dots", "eu-central-1")
        dotted = S3Store("s3://with.dots/here")
        assert signed(dotted.url("a", 9)) == ("s3.eu-central-1.amazonaws.com", "eu-central-1")


def test_the_region_is_asked_for_once(bucket, monkeypatch):
    store, asked = S3Store("s3://studies/here"), []
    real = store._client.head_bucket
    monkeypatch.setattr(store._client, "head_bucket", lambda **words: (asked.append(words), real(**words))[1])
    assert store.url("a", 9).split("?")[0] == store.url("a", 9).split("?")[0]
    assert len(asked) == 1


def test_aws_region_is_the_region_of_every_call(bucket, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert S3Store("s3://studies/here")._client.meta.region_name == "eu-central-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert S3Store("s3://studies/here")._client.meta.region_name == "eu-west-1"


def test_another_server_keeps_its_host_and_its_paths(bucket, s3_server):
    made("frankfurt", "eu-central-1")
    store = open_store("s3://frankfurt/here")
    store.write("a", b"content")
    url = store.url("a", 60)
    assert url.startswith(f"{s3_server}/frankfurt/here/a?")
    assert signed(url)[1] == "eu-central-1"
    assert requests.get(url, timeout=10).content == b"content"


def test_a_server_that_tells_no_region_is_given_the_client_s(bucket, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    store = S3Store("s3://studies/here")
    monkeypatch.setattr(store._client, "head_bucket", lambda **_: {"ResponseMetadata": {"HTTPHeaders": {}}})
    assert signed(store.url("a", 9))[1] == "eu-west-1"


def test_a_bucket_that_does_not_exist_is_named(bucket):
    with pytest.raises(UserError, match="s3://nowhere/x: no such bucket as nowhere"):
        S3Store("s3://nowhere/x").url("a", 9)
