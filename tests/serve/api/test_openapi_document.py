"""The application does what its OpenAPI document says, for whatever requests schemathesis makes of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed; pip install schemathesis"
)

pytestmark = pytest.mark.slow

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]


def test_every_answer_is_as_documented(server):
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    document = schemathesis.openapi.from_url(server.url + "/openapi.json").exclude(path_regex="/events$")
    operations = [each.ok() for each in document.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def holds(case):
            case.call_and_validate(headers={"Authorization": "Bearer token-for-tests"}, checks=wanted)

        holds()
