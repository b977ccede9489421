"""Images over HTTP, the description of the model, health, metrics and the web page."""

from __future__ import annotations

import asyncio
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor

import clips
import numpy as np
import pytest
import requests
from PIL import Image
from rectangles import picture
from servers import READER, LocalReplica

from serve.api import uploads

BOX = (0.2, 0.3, 0.6, 0.7)


def encoded(kind: str = "PNG", size: tuple[int, int] = (120, 200), **save) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(*size, {"green": BOX})).save(buffer, kind, **save)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_an_image_is_answered_with_its_detections(server, kind):
    answer = server.call(
        "POST", "/v1/images:detect", data=encoded(kind), headers={"Content-Type": f"image/{kind.lower()}"}
    )
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()["images"]
    assert (image["height"], image["width"]) == (120, 200)
    (found,) = image["objects"]
    assert found["class"] == "green"
    np.testing.assert_allclose(found["box"], BOX, atol=0.03)
    np.testing.assert_allclose(found["pixels"], [60, 24, 140, 72], atol=4)


def test_several_images_are_answered_in_order(server):
    files = [("file", (f"{i}.png", encoded(size=(64 + 20 * i, 64)))) for i in range(4)]
    images = server.call("POST", "/v1/images:detect", files=files).json()["images"]
    assert [image["height"] for image in images] == [64, 84, 104, 124]


@pytest.mark.parametrize("kind", ["a form", "an image"])
def test_a_body_of_undeclared_length_is_answered_too(server, kind):
    sizes, headers = [(64, 64), (84, 64), (104, 64)], {"Content-Type": "multipart/form-data; boundary=b"}
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n%b\r\n' % encoded(size=size)
        for size in sizes
    )
    body += b"--b--\r\n"
    if kind == "an image":
        sizes, headers, body = [(64, 70)], {"Content-Type": "image/png"}, encoded(size=(64, 70))
    pieces = (body[start : start + 50] for start in range(0, len(body), 50))
    answer = server.call("POST", "/v1/images:detect", data=pieces, headers=headers)
    assert [(image["height"], image["width"]) for image in answer.json()["images"]] == sizes
    assert not list((server.settings.data / "incoming").glob("*"))


def test_large_bodies_wait_for_each_other_on_the_disk(server, monkeypatch):
    held = most = 0

    async def find(self, images, *_):
        nonlocal held, most
        held += sum(map(len, images))
        most = max(most, held)
        await asyncio.sleep(0.1)
        held -= sum(map(len, images))
        return {"model": "x", "images": []}

    monkeypatch.setattr(LocalReplica, "find", find)
    monkeypatch.setattr(uploads, "SMALL_BYTES", 1000)
    body, limit = bytes(600_000), server.settings.limits.image_bytes
    kind = dict(server.session.headers) | {"Content-Type": "image/png"}
    with ThreadPoolExecutor(10) as pool:
        url = server.url + "/v1/images:detect"
        sent = [pool.submit(requests.post, url, body, headers=kind, timeout=60) for _ in range(10)]
    assert {each.result().status_code for each in sent} == {200}
    assert len(body) < most <= 2 * limit


def test_images_with_too_many_pixels_in_all_are_refused_before_they_are_decoded(server):
    data = encoded(size=(600, 600))
    one = server.call("POST", "/v1/images:detect", files=[("file", ("a.png", data))])
    assert one.status_code == 200, one.text
    two = server.call("POST", "/v1/images:detect", files=[("file", (f"{i}.png", data)) for i in range(2)])
    assert two.status_code == 413
    assert "720000 pixels in all; the limit for a request is 500000" in two.json()["detail"]


def test_an_image_is_rotated_by_its_exif_orientation(server):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    answer = server.call(
        "POST", "/v1/images:detect", data=encoded("JPEG", exif=exif), headers={"Content-Type": "image/jpeg"}
    )
    (image,) = answer.json()["images"]
    assert (image["height"], image["width"]) == (200, 120)
    ymin, xmin, ymax, xmax = BOX
    np.testing.assert_allclose(image["objects"][0]["box"], (xmin, 1 - ymax, xmax, 1 - ymin), atol=0.03)


def test_threshold_and_classes_can_be_given(server):
    for query, count in (("threshold=0.99", 0), ("classes=red", 0), ("classes=red&classes=green", 1)):
        answer = server.call(
            "POST", f"/v1/images:detect?{query}", data=encoded(), headers={"Content-Type": "image/png"}
        )
        assert len(answer.json()["images"][0]["objects"]) == count


def test_a_class_that_the_model_does_not_know_is_refused_and_its_classes_are_named(server, tmp_path):
    answer = server.call(
        "POST",
        "/v1/images:detect?classes=red&classes=zebra",
        data=encoded(),
        headers={"Content-Type": "image/png"},
    )
    says = "classes: the model knows no 'zebra'; its classes are red, green, blue"
    assert (answer.status_code, answer.json()["detail"]) == (422, says)
    answer = server.submit(clips.make(tmp_path / "clip.mp4", 2), '{"classes": ["zebra"]}')
    assert (answer.status_code, answer.json()["detail"]) == (422, says)


def test_the_model_is_described(server, rectangles):
    model = server.call("GET", "/v1/model").json()
    assert model["model"] == rectangles.export_id
    assert model["classes"] == ["red", "green", "blue"]
    assert model["manifest"]["detector"] == "rectangles"
    assert model["replica"]["models"][rectangles.export_id]["backend"] == "openvino"
    assert model["scopes"] == ["read", "submit", "admin"]
    asked = {"Authorization": f"Bearer {READER}"}
    assert server.call("GET", "/v1/model", headers=asked).json()["scopes"] == ["read"]


def test_only_health_needs_no_token(server):
    assert requests.get(server.url + "/healthz", timeout=60).json() == {"status": "ok"}
    ready = requests.get(server.url + "/readyz", timeout=60)
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    for path in ("/metrics", "/v1/jobs", "/v1/model"):
        answer = requests.get(server.url + path, timeout=60)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_metrics_are_prometheus_text(server):
    from prometheus_client.parser import text_string_to_metric_families
    from servers import wait_for

    server.call("POST", "/v1/images:detect", data=encoded(), headers={"Content-Type": "image/png"})

    def families():
        text = server.call("GET", "/metrics").text
        found = {family.name: family for family in text_string_to_metric_families(text)}
        return found if "serve_network_images" in found and "serve_http_requests" in found else None

    found = wait_for(families)
    assert {
        "serve_queue_age_seconds",
        "serve_batches",
        "serve_stage_duration_seconds",
        "serve_network_queue_duration_seconds",
        "serve_http_request_duration_seconds",
        "serve_frames_per_second",
    } <= set(found)
    routes = {sample.labels["route"] for sample in found["serve_http_requests"].samples}
    assert "/v1/images:detect" in routes


def test_the_page_is_complete_and_loads_nothing_from_elsewhere(server):
    answer = requests.get(server.url + "/", timeout=60)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<title>Object detection</title>" in answer.text
    assert not re.findall(r"(?:src|href)=[\"']?https?:", answer.text)


def test_other_sites_cannot_read_answers(server):
    answer = server.call("GET", "/v1/jobs", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert (
        server.call("OPTIONS", "/v1/jobs", headers={"Origin": "https://elsewhere.example"}).status_code == 405
    )


def test_the_openapi_document_names_every_route_and_how_to_authenticate(server):
    document = requests.get(server.url + "/openapi.json", timeout=60).json()
    assert {
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/video",
        "/v1/images:detect",
        "/v1/model",
    } <= set(document["paths"])
    assert document["components"]["securitySchemes"]
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert {"Options", "JobModel", "Problem"} <= named <= set(document["components"]["schemas"])
