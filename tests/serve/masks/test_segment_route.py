"""The answers of /v1/images:segment conform to the OpenAPI document, where a segmentation model is served."""

from __future__ import annotations

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed; pip install schemathesis")


@pytest.mark.slow(15)
def test_every_answer_of_the_images_routes_conforms_to_the_document(masks):
    import conformity

    found = [each for each in conformity.operations(masks) if each.path.startswith("/v1/images:")]
    assert {each.path for each in found} == {"/v1/images:detect", "/v1/images:segment"}
    for operation in found:
        conformity.check(operation)
