"""HTTPS as the command serves it, and what it believes of a reverse proxy's headers."""

from __future__ import annotations

import pytest
import requests
from certificates import pair
from commands import start, stop
from servers import choose

from serve.client import Client
from serve.deployment.settings import Settings
from serve.errors import Refused
from serve.run import main
from trainers.detection import export

SAYS_HTTP = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.7"}


def scheme(server):
    """Of the address that the server redirects a path with a slash at its end to."""
    answer = server.call("GET", "/v1/jobs/", headers=SAYS_HTTP, allow_redirects=False)
    assert answer.status_code == 307
    return answer.headers["Location"].partition(":")[0]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("believed", "told"), [("", "https"), ("10.0.0.0/8,127.0.0.1,::1", "http")])
def test_the_command_serves_https_and_believes_given_proxies_only(
    believed, told, rectangles_folder, tmp_path, monkeypatch
):
    certificate, key = pair(tmp_path, "server")
    choose(export.read(rectangles_folder), Settings(data=tmp_path / "data"), "openvino")
    process, server = start(
        tmp_path / "data", "--model", str(rectangles_folder), "--tls-cert", str(certificate), "--tls-key", str(key),
        "--forwarded-allow-ips", believed, certificate=certificate,
    )  # fmt: skip
    try:
        assert scheme(server) == told
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(server.url + "/healthz", timeout=30)
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(server.url.replace("https", "http") + "/healthz", timeout=30)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert Client(server.url, "token-for-tests").model()["model"]
        with pytest.raises(Refused, match="unknown token"):
            Client(server.url, "another-token").model()
    finally:
        stop(process)


@pytest.mark.parametrize("proxies", ["everybody", "10.0.0.1/8", "*"])
def test_a_proxy_that_is_no_address_is_refused_in_one_line(proxies, capsys):
    assert main(["--model", "x", "--forwarded-allow-ips", proxies]) == 2
    assert "not an address or a network" in capsys.readouterr().err
