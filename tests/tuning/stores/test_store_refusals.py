"""What is wrong with a store is one line: which, what, and what to do."""

from __future__ import annotations

import socket

import pytest
from botocore.exceptions import ClientError

from trainers.errors import UserError
from tuning.run import main
from tuning.stores import s3
from tuning.stores.opening import open_store
from tuning.stores.s3 import S3Store
from tuning.stores.store import Away


def refused(run) -> str:
    with pytest.raises(UserError) as error:
        run()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_bucket_that_does_not_exist_ends_the_command_in_one_line(bucket, tmp_path, capsys):
    line = ["--space", "mobilenet", "--studies-dir", "s3://nosuch/x", "--data", "toy-city", "--trials", "1"]
    assert main(line) == 2
    assert capsys.readouterr().err == "error: s3://nosuch/x: no such bucket as nosuch\n"


def test_without_credentials_the_user_is_told_how_to_set_them(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said = refused(lambda: open_store("s3://studies/x").entries(""))
    assert said == "s3://studies/x: no credentials for S3; set them with `aws configure`, or AWS_PROFILE"


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("AccessDenied", 403, "access denied (AccessDenied); it takes the rights to list, read, write and delete"),
        ("PermanentRedirect", 301, "the bucket is in another region; set AWS_REGION to that one"),
        ("InvalidRequest", 400, "S3 refuses (An error occurred (InvalidRequest)"),
    ],
)  # fmt: skip
def test_what_the_user_must_mend_is_said(s3_store, monkeypatch, code, status, says):
    def fails(**_):
        raise ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
        )

    monkeypatch.setattr(s3_store._client, "put_object", fails)
    assert f"s3://studies/here: {says}" in refused(lambda: s3_store.write("a", b""))


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("Throttling", 400)])
def test_what_is_over_in_a_while_is_not_an_error_of_the_user(s3_store, monkeypatch, code, status):
    def fails(**_):
        raise ClientError(
            {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
        )

    monkeypatch.setattr(s3_store._client, "put_object", fails)
    with pytest.raises(Away, match="S3 cannot answer now"):
        s3_store.write("a", b"")


@pytest.mark.parametrize(
    ("code", "error"),
    [("InternalError", Away), ("SlowDown", Away), ("ServiceUnavailable", Away), ("AccessDenied", UserError)],
)
def test_objects_of_a_request_that_s3_could_not_delete_now_are_deleted_later(
    s3_store, monkeypatch, code, error
):
    """S3 answers such a request with 200, and an error for each of its objects."""
    answer = {"Errors": [{"Key": "here/a", "Code": code}]}
    monkeypatch.setattr(s3_store._client, "delete_objects", lambda **_: answer)
    with pytest.raises(error, match=f"here/a cannot be deleted.* \\({code}\\)"):
        s3_store.delete(["a"])


def test_a_server_that_does_not_answer_is_away(bucket, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    with pytest.raises(Away, match="S3 does not answer"):
        S3Store("s3://studies/x").entries("")
