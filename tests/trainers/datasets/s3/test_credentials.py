"""What S3 refuses is said in one line: credentials, buckets, endpoints, keys."""

import socket

import pytest
import requests
from bad_proxy import BadProxy
from s3_bucket import BUCKET, fetch, refused

pytestmark = pytest.mark.slow  # half a second for each, of a server's start and of waiting for it


def test_a_public_bucket_needs_no_credentials(client, server, no_credentials, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/1.txt", Body=b"1", ACL="public-read")
    proxy = BadProxy(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert (fetch(f"s3://{BUCKET}/a")[0] / "1.txt").read_bytes() == b"1"
    assert len(proxy.requests) == 2
    assert not [request for request in proxy.requests if b"authorization" in request.lower()]


DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def test_a_private_bucket_without_credentials_is_said(client, server, no_credentials, monkeypatch):
    # as Amazon answers; moto does not know of requests without a signature
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(
        DENIED
    )
    proxy = BadProxy(server, answer=answer + DENIED)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert "access denied without credentials" in refused(f"s3://{BUCKET}/a")


def test_a_missing_bucket_or_prefix_is_said(client):
    assert "no such bucket" in refused("s3://nobody-has-this/a")
    assert "no such object or prefix" in refused(f"s3://{BUCKET}/nowhere")
    assert "expected a bucket" in refused("s3://")


def test_wrong_credentials_are_said(client, server, monkeypatch):
    client.put_object(Bucket=BUCKET, Key="a/1.txt", Body=b"1")
    requests.post(f"{server}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    try:
        assert "access denied with these credentials (InvalidAccessKeyId)" in refused(f"s3://{BUCKET}/a")
    finally:
        requests.post(f"{server}/moto-api/reset-auth", data=b"inf", timeout=10)


def test_an_endpoint_that_does_not_answer_is_said(client, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "cannot reach S3" in refused(f"s3://{BUCKET}/a")


def test_a_key_that_leads_out_of_its_folder_is_refused(client, tmp_path):
    client.put_object(Bucket=BUCKET, Key="a/../../escaped.txt", Body=b"1")
    assert "points outside its folder" in refused(f"s3://{BUCKET}/a")
    assert not list(tmp_path.rglob("escaped.txt"))
