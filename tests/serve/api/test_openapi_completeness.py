"""The OpenAPI document is valid, and says what clients and their generators need to know."""

from __future__ import annotations

import pytest

from serve.api.app import create_app
from serve.deployment.database import Database
from serve.deployment.settings import Settings


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    Database(data, create=True)
    return create_app(Settings(data=data), None).openapi()


@pytest.fixture(scope="module")
def operations(document):
    return {each["operationId"]: each for path in document["paths"].values() for each in path.values()}


@pytest.mark.slow
def test_the_document_is_valid(document):
    validator = pytest.importorskip(
        "openapi_spec_validator", reason="openapi-spec-validator is not installed; it comes with moto[server]"
    )
    validator.validate(document)


def test_a_ticket_is_enough_to_read_a_job_and_for_nothing_else(document, operations):
    scheme = document["components"]["securitySchemes"]["Ticket"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "query", "ticket")
    with_ticket = {name for name, each in operations.items() if {"Ticket": []} in each.get("security", [])}
    results = {f"get_{what}" for what in ("video", "detections", "coco", "preview", "manifest", "source")}
    assert with_ticket == results | {"get_job", "follow_job", "list_job_deliveries"}
    assert all({"HTTPBearer": []} in operations[name]["security"] for name in with_ticket)


def test_health_needs_no_token_and_every_other_operation_of_the_api_does(operations):
    free = {name for name, each in operations.items() if not each.get("security") or {} in each["security"]}
    assert free == {"get_page", "get_health", "get_readiness"}


def test_headers_of_answers_are_documented(operations):
    for name, each in operations.items():
        for status, response in each["responses"].items():
            headers = set(response.get("headers", {}))
            if status in ("429", "503", "507") and name != "get_readiness":
                assert "Retry-After" in headers, (name, status)
            if status == "206":
                assert {"Content-Range", "Accept-Ranges", "ETag"} <= headers, name
            if status == "202" and name.startswith(("submit", "retry")):
                assert "Location" in headers, name
    assert {"206", "304", "416"} <= set(operations["get_source"]["responses"])
    assert "204" in operations["follow_job"]["responses"]


def test_a_status_is_documented_only_where_it_can_be(operations):
    assert "409" not in operations["get_job"]["responses"]
    assert not {"404", "409"} & set(operations["list_jobs"]["responses"])
    assert "409" in operations["get_video"]["responses"]
