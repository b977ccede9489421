"""--tls-cert and --tls-key: both or neither, and they must fit each other."""

from __future__ import annotations

import pytest
from certificates import pair

from serve.deployment.serving import Placement, check_certificate
from serve.run import main
from trainers.errors import UserError


def test_a_certificate_with_its_key_is_served_by_https(tmp_path):
    certificate, key = pair(tmp_path, "a")
    check_certificate(certificate, key)
    check_certificate(None, None)
    assert Placement("0.0.0.0", 443, 1, 1, 0, None, certificate, key).url == "https://127.0.0.1:443"
    assert Placement("0.0.0.0", 80, 1, 1, 0, None).url == "http://127.0.0.1:80"
    assert Placement("::1", 80, 1, 1, 0, None).url == "http://[::1]:80"


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path, capsys):
    (certificate, key), (_, other) = pair(tmp_path, "a"), pair(tmp_path, "b")
    for files in ((certificate, other), (tmp_path / "gone", key), (key, key)):
        with pytest.raises(UserError, match="cannot be used for TLS"):
            check_certificate(*files)
    assert main(["--model", "x", "--tls-cert", str(certificate)]) == 2
    assert "give both --tls-cert and --tls-key" in capsys.readouterr().err
