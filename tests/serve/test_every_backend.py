"""The contract of every backend, and the choice among them."""

from __future__ import annotations

import numpy as np
import pytest
from rectangles import build, picture

from serve import backends
from serve.backends import choosing
from trainers import export as exports
from trainers import samples
from trainers.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(backends.REGISTERED))
def loaded(request, rectangles):
    return backends.load(request.param, rectangles, 1)


def test_it_finds_what_the_export_found_when_it_was_made(loaded, rectangles):
    shown = samples.load(rectangles.directory / exports.SAMPLES)
    mean_ap, apart, problem = choosing.parity(loaded, rectangles, shown)
    assert problem is None
    assert mean_ap == pytest.approx(shown.mean_ap(shown.found, rectangles.classes), abs=1e-3)
    assert apart.score < 1e-3


def test_a_batch_of_any_size_gives_what_its_images_give_alone(loaded):
    images = np.stack([picture(64, 64, {"red": (0.1, 0.1 * i, 0.5, 0.1 * i + 0.3)}) for i in range(1, 6)])
    together = loaded.detect(images)
    assert len(together) == 5
    for image, each in zip(images, together, strict=True):
        alone = loaded.detect(image[np.newaxis])[0]
        np.testing.assert_allclose(each.boxes, alone.boxes, atol=1e-5)
        np.testing.assert_allclose(each.scores, alone.scores, atol=1e-5)


def test_what_it_returned_stays_when_it_is_asked_again(loaded):
    first = loaded.detect(picture(64, 64, {"red": (0.1, 0.1, 0.5, 0.5)})[np.newaxis])[0]
    before = first.boxes.copy()
    loaded.detect(picture(64, 64, {"red": (0.5, 0.5, 0.9, 0.9)})[np.newaxis])
    np.testing.assert_array_equal(first.boxes, before)


def test_an_image_with_nothing_in_it_gives_nothing(loaded):
    assert len(loaded.detect(picture(64, 64, {})[np.newaxis])[0].scores) == 0


def test_an_unknown_backend_is_refused_with_the_known_ones(rectangles):
    with pytest.raises(UserError, match="unknown backend 'abacus'; known are openvino, tensorflow"):
        backends.load("abacus", rectangles, 1)


def test_the_fastest_that_passes_serves_and_the_choice_is_kept(rectangles, tmp_path):
    choice, backend = choosing.chosen(rectangles, tmp_path, 1)
    passed = {row.backend: row.seconds for row in choice.measured if row.problem is None}
    assert set(passed) == set(backends.REGISTERED)
    assert choice.backend == min(passed, key=passed.get)
    assert any("<- serves" in line for line in choice.table())
    again, _ = choosing.chosen(rectangles, tmp_path, 1)
    assert again == choice
    assert type(backend).__module__.endswith(choice.backend)


class Shifted:
    def __init__(self, backend):
        self._backend = backend

    def detect(self, images):
        return [
            samples.Found(each.boxes + 0.1, each.scores, each.classes)
            for each in self._backend.detect(images)
        ]


def test_a_backend_that_finds_other_things_may_not_serve(backend, rectangles):
    shown = samples.load(rectangles.directory / exports.SAMPLES)
    assert choosing.parity(Shifted(backend), rectangles, shown)[2] is not None


def test_an_export_that_no_backend_can_run_is_refused_with_the_reasons(tmp_path):
    export = exports.read(build(tmp_path / "broken", broken=True))
    with pytest.raises(UserError, match=r"no backend can serve it here \(openvino: .*tensorflow: "):
        choosing.choose(export, 1)
