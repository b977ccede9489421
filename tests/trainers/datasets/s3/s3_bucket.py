"""What tests of S3 share: a bucket's name, uploads, fetches and refusals."""

import pytest

from trainers.datasets.s3 import fetching
from trainers.errors import UserError

BUCKET = "pets"


def upload(client, folder, prefix: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), BUCKET, f"{prefix}/{file.relative_to(folder).as_posix()}")


def fetch(uri: str, **options):
    said: list[str] = []
    return fetching.fetch(uri, said.append, **options), said


def refused(uri: str, **options) -> str:
    with pytest.raises(UserError) as error:
        fetch(uri, **options)
    assert "\n" not in str(error.value)
    return str(error.value)
